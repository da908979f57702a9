"""The online loop guard: tells once, then ends the episode, and never for observations that differ."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_agent_loop import CODE, SUBMIT, FakeBackend, Scripted, a_task, play

from env.errors import UserError
from env.sandbox.base import Execution
from medcopilot.agent.loop_guard import LINE, with_line
from medcopilot.loops import guard_effect
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.rollout.jobs import Job
from medcopilot.rollout.sample import sample_run
from medcopilot.rollout.settings import SampleConfig
from rewards.loops import LONGEST_PERIOD


def code(text):
    return json.dumps({"action": "code_execution", "params": {"code": text}})


class Server(FakeBackend):
    """A box at a server that counts what is posted to it."""

    def open(self, spec):
        box, posted = super().open(spec), []

        def run(program, limits=None, *, want_value=False):
            if "post" in program.source:
                posted.append(program)
                return Execution(status="ok", exit_code=0, stdout="201 Created\n")
            return Execution(status="ok", exit_code=0, stdout=f"total: {len(posted)}\n")

        box.run = run
        return box


def test_without_the_guard_a_loop_goes_on_to_the_turn_limit():
    trace = play(Scripted([CODE]))
    assert (trace.stop, len(trace.turns), trace.turn_limit, trace.loop_guard) == ("turns", 15, 15, False)
    assert not any(turn.guard for turn in trace.turns)


def test_the_guard_tells_once_and_then_ends_the_episode_which_is_scored():
    policy = Scripted([CODE])
    trace = play(policy, loop_guard=True)
    assert (trace.stop, len(trace.turns), trace.loop_guard) == ("loop", 3, True)
    assert [bool(turn.guard) for turn in trace.turns] == [False, True, False]
    assert (trace.grades["strict"].score, trace.grades["strict"].label) == (0.0, "no_submission")
    heard = [message["content"] for message in trace.messages if message["role"] == "user"][1:]
    assert heard == ["42", f"42\n{LINE}"]
    assert trace.turns[1].observation == "42"  # what the environment answered, so that the record shows the loop
    assert [i for i, m in zip(trace.tokens.ids, trace.tokens.mask, strict=True) if m] == policy.sampled


def test_an_agent_that_heeds_the_line_goes_on_and_may_succeed():
    trace = play(Scripted([CODE, CODE, SUBMIT]), loop_guard=True)
    assert trace.success
    assert (trace.stop, trace.turns[1].guard) == ("submit", LINE)


@pytest.mark.parametrize("period", range(1, LONGEST_PERIOD + 1))
def test_loops_of_every_period_are_recognised_when_the_block_is_whole(period):
    block = [code(f"print({i})") for i in range(period)]
    trace = play(Scripted(block * 15), loop_guard=True)
    assert [i for i, turn in enumerate(trace.turns) if turn.guard] == [2 * period - 1]
    assert (trace.stop, len(trace.turns)) == ("loop", 2 * period + 1)


def test_layout_does_not_hide_a_loop_and_refused_replies_loop_too():
    assert play(Scripted([code("print(42)"), code("print( 42 )  # again"), code("print(42)\n")]), loop_guard=True).stop == "loop"
    assert play(Scripted(["I think it is 42."]), loop_guard=True).stop == "loop"


def test_reading_what_was_written_in_between_is_no_loop():
    get, post = code("print(get('Observation'))"), code("post('Observation', {})")
    trace = play(Scripted([get, post] * 7 + [SUBMIT]), Server(), loop_guard=True)
    assert (trace.stop, len(trace.turns)) == ("submit", 15)
    assert not any(turn.guard for turn in trace.turns)
    assert play(Scripted([get, get, get]), Server(), loop_guard=True).stop == "loop"  # nothing was written: nothing new


def test_a_loop_that_closes_with_the_last_turn_is_the_turn_limit():
    turns = [*(code(f"print({i})") for i in range(13)), CODE, CODE]
    trace = play(Scripted(turns), loop_guard=True)
    assert (trace.stop, trace.turns[-1].guard) == ("turns", "")


def test_the_guard_is_part_of_a_runs_config_and_runs_from_before_it_resume(tmp_path, monkeypatch):
    for module in ("sample", "worker"):
        monkeypatch.setattr(f"medcopilot.rollout.{module}.open_backend", lambda _: FakeBackend())
    toy = SimpleNamespace(manifest={"dataset": "toy", "request": {}}, folder=tmp_path, iter_tasks=lambda split: iter([a_task()]))
    monkeypatch.setattr("medcopilot.rollout.sample.build_all", lambda *_: {"toy": toy})
    plain = SampleConfig(out=tmp_path / "run", policy="scripted", datasets=())
    sample_run(plain, policy=Scripted([CODE]))
    assert "loop_guard" not in json.loads((tmp_path / "run" / "config.json").read_text())
    with pytest.raises(UserError, match=r"another config \(different: loop_guard\)"):
        sample_run(plain.model_copy(update={"loop_guard": True}), policy=Scripted([CODE]))
    sample_run(plain.model_copy(update={"loop_guard": True, "out": tmp_path / "guarded"}), policy=Scripted([CODE]))
    assert json.loads((tmp_path / "guarded" / "config.json").read_text())["loop_guard"] is True


def test_the_expert_is_never_told():
    for seed in range(30):
        trace = play(ExpertPolicy(seed=seed, detours=1.0), loop_guard=True)
        assert (trace.success, any(turn.guard for turn in trace.turns)) == (True, False)


def test_guarded_episodes_are_other_episodes_and_plain_ones_keep_their_ids():
    task = a_task()
    assert Job(task, loop_guard=True).trace_id("p", "submit") != Job(task).trace_id("p", "submit")


@settings(deadline=None)
@given(st.text(max_size=600), st.integers(len(LINE) + 2, 400))
def test_observation_and_line_stay_within_the_limit(observation, limit):
    shown = with_line(observation, limit)
    assert len(shown) <= limit
    assert shown.endswith(LINE)
    assert shown.startswith(observation[: max(0, limit - len(LINE) - 1)])


def test_a_record_shows_what_the_guard_did_and_would_have_done():
    plain, guarded = play(Scripted([CODE])), play(Scripted([CODE]), loop_guard=True)
    each = plain.turns[0].sampled_tokens
    free = guard_effect(plain)
    assert (free.turns, free.told, free.stopped) == (14, True, True)
    assert (free.tokens_after, free.tokens_saved) == (13 * each, 12 * each)
    ended = guard_effect(guarded)
    assert (ended.turns, ended.told, ended.stopped) == (2, True, True)
    assert (ended.tokens_after, ended.tokens_saved) == (each, 12 * each)
