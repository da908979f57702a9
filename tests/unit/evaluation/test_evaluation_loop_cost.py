"""Tokens that loops cost, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_factory import make_trace

from medcopilot.evaluation.summary import summarise
from medcopilot.loops import guard_effect, looping_turns, step_of
from medcopilot.trace import Turn
from rewards.loops import find_loops


def turns(letters: str, tokens: int | None = 10) -> list[Turn]:
    """A turn for every letter; `s` submits."""
    return [Turn(reply="{}", action="submit", params={"answer": 1}, sampled_tokens=tokens) if letter == "s" else
            Turn(reply=letter, action="code_execution", params={"code": f"print('{letter}')"}, observation=letter,
                 sampled_tokens=tokens) for letter in letters]


@pytest.mark.parametrize(("letters", "looping", "told", "stopped", "after", "saved"), [
    ("abcs", 0, False, False, 0, 0),
    ("aab", 1, True, False, 10, 0),  # told after the second a, and heeded
    ("aaas", 2, True, True, 20, 10),  # ended after the third a, before the submission
    ("abababab", 6, True, True, 40, 30),  # recognised at the fourth turn, ended at the fifth
    ("aabbs", 2, True, True, 30, 10),  # the second loop is another one
    ("aa", 1, False, False, 0, 0),  # the episode was over when the loop closed
    ("abb", 1, False, False, 0, 0),
])
def test_episodes_without_the_guard(letters, looping, told, stopped, after, saved):
    assert guard_effect(make_trace(False, turns=turns(letters))) == (looping, told, stopped, after, saved)


def test_saved_tokens_of_ended_episodes_are_what_the_turns_left_would_have_sampled():
    ended = make_trace(False, turns=turns("baaa"), loop_guard=True, stop="loop", turn_limit=15)
    ended.turns[2].guard = "[Loop]"
    assert guard_effect(ended) == (2, True, True, 10, 110)
    heeded = make_trace(True, turns=turns("aabs"), loop_guard=True, turn_limit=15)
    heeded.turns[1].guard = "[Loop]"
    assert guard_effect(heeded) == (1, True, False, 20, 0)


def test_a_summary_keeps_guarded_and_unguarded_apart_and_says_what_would_be_lost():
    found = summarise([make_trace(False, turns=turns("aaaa")), make_trace(True, turns=turns("aaas")),
                       make_trace(False, turns=turns("baaa"), loop_guard=True, stop="loop", turn_limit=15), make_trace(True)])
    item = found.behaviour.loops
    assert (item.episodes, item.turns, item.tokens_after) == (3, 3 + 2 + 2, 20 + 20 + 10)
    assert (item.guarded, item.told, item.stopped, item.saved) == (1, 0, 1, 110)
    assert (item.would_stop, item.would_save, item.would_lose) == (2, 10 + 10, 1)
    assert item.share_after == pytest.approx(50 / found.behaviour.completion_tokens.mean / 4)


def test_unknown_tokens_stay_unknown_and_no_loops_are_no_row():
    item = summarise([make_trace(False, turns=turns("aaaa", None))]).behaviour.loops
    assert (item.turns, item.tokens_after, item.would_save, item.would_stop) == (3, None, None, 1)
    assert summarise([make_trace(True)]).behaviour.loops is None
    watched = summarise([make_trace(True, loop_guard=True)]).behaviour.loops
    assert (watched.episodes, watched.guarded, watched.saved) == (0, 1, 0)


OBSERVATIONS = ("", " ", "a b", "a  b\n", " a b c", "<x at 0x7f00aabbccdd> b", "<x at 0x7f00aabbccee> b", "a 0xdeadbeef",
                "a 0xdeadbeff")
PROGRAMS = ("print(1)", "print( 1 )  # again", "print(2)", "not python (")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("code_execution", "terminal", None)), st.sampled_from(PROGRAMS),
                          st.sampled_from(OBSERVATIONS)), max_size=14))
def test_the_quick_look_misses_no_loop(steps):
    turns = [Turn(reply=program, action=action, params={"code": program, "command": program} if action else {}, observation=seen)
             for action, program, seen in steps]
    trace = make_trace(False, turns=turns)
    assert looping_turns(trace) == find_loops(step_of(turn) for turn in turns)
