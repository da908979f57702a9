"""Kinds of preference pairs: within one episode, off-policy and on-policy, best against worst; and what cannot be paired."""

from __future__ import annotations

from typing import Any

import pytest
from export_traces import BAD, GOOD, LOOK, played, run_turn, submit_turn, trace
from pydantic import ValidationError

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.funnel import Funnel
from medcopilot.data.pairs import PairOptions, Rollout, pair_rows
from medcopilot.data.sources import tokenize
from medcopilot.data.step_pairs import final_program, step_pair
from medcopilot.trace import Tokens, Trace

WRONG, RIGHT, DONE = run_turn("print(x)", "error"), run_turn("print(12)"), submit_turn(answer=12)


def pair(rollouts: list[Rollout], renderer: ChatRenderer, **options: Any) -> tuple[list[dict[str, Any]], Funnel]:
    funnel = Funnel()
    return pair_rows(rollouts, renderer, PairOptions(**options), funnel), funnel


def sampled_by_character(item: Trace, renderer: ChatRenderer) -> Trace:
    """The episode with token ids that no encoder would give: every sampled turn is spelled out."""
    ids: list[int] = renderer.prompt(item.messages[:1])
    mask = [0] * len(ids)
    for message in item.messages[1:]:
        if message["role"] == "assistant":
            turn = [*(token for character in message["content"] for token in renderer.encode(character)), renderer.end]
        else:
            turn = renderer.observation(message["content"])
        ids += turn
        mask += [int(message["role"] == "assistant")] * len(turn)
    return item.model_copy(update={"tokens": Tokens(ids=ids, mask=mask, logprobs=[0.0] * len(ids), versions=[0] * len(ids))})


def test_the_final_program_against_an_earlier_wrong_one(renderer: ChatRenderer) -> None:
    item = sampled_by_character(played("s", run_turn("look()"), WRONG, run_turn("again(", "error"), RIGHT, DONE), renderer)
    episode = tokenize(item, renderer)
    assert episode.exact
    (row,), funnel = pair([Rollout(item)], renderer, level="step")
    assert row["prompt_ids"] == episode.ids[: episode.spans[1][0]]
    assert renderer.decode(row["rejected_ids"]) == WRONG.reply
    assert renderer.decode(row["chosen_ids"]) == RIGHT.reply
    for side, turn in (("rejected", 1), ("chosen", 3)):
        start, end = episode.spans[turn]
        assert row[f"{side}_ids"] == episode.ids[start:end] != [*renderer.encode(item.turns[turn].reply), renderer.end]
        assert row[f"{side}_mask"] == [1] * (end - start)  # turns of the policy alone: no observation is in either side
    assert (row["trace_id"], row["rejected_trace_id"], row["on_policy"]) == ("s", "s", True)
    assert funnel.skipped == {}


def test_what_was_submitted_says_which_program_is_final() -> None:
    program = {"kind": "program", "language": "python", "program": "print( 12 )"}
    same = played("a", RIGHT, run_turn("print(13)"), submit_turn(program="print( 12 )"), submission=program)
    assert final_program(same) == 0
    new = played("b", WRONG, submit_turn(program="print( 12 )"), submission=program)
    assert final_program(new) == 1
    assert final_program(played("c", WRONG, DONE)) is None
    assert final_program(played("d", RIGHT, submit_turn(abstain=True), submission={"kind": "abstain"})) is None


def test_under_the_paper_protocol_an_earlier_run_that_did_not_end_the_episode_was_wrong(renderer: ChatRenderer) -> None:
    turns = (run_turn("print(7)"), run_turn("print(12)"))
    ended = {"submission": None, "protocol": "paper", "stop": "success"}
    item = played("p", *turns).model_copy(update=ended)
    found = step_pair(tokenize(item, renderer))
    assert not isinstance(found, str)
    assert renderer.decode(found.rejected_ids) == turns[0].reply
    assert step_pair(tokenize(played("q", *turns, DONE), renderer)) == "no_wrong_program"  # its result may have been a look


def test_episodes_without_a_step_pair_are_counted_by_reason(renderer: ChatRenderer) -> None:
    merged = played("m", WRONG, RIGHT, DONE)
    merged.turns.pop(0)
    rollouts = [Rollout(item) for item in (
        played("f", WRONG, RIGHT, DONE, score=0.0), played("n", RIGHT, DONE), played("o", WRONG, submit_turn(answer=1)),
        played("r", run_turn("print( 12 )", "error"), RIGHT, DONE), merged, played("y", WRONG, RIGHT, DONE),
        played("z", WRONG, RIGHT, DONE), played("u", WRONG, RIGHT, DONE, score=None))]
    rows, funnel = pair(rollouts, renderer, level="step", per_task=1)
    assert len(rows) == 1
    assert funnel.skipped == {"failed": 1, "no_wrong_program": 2, "no_program": 1, "turns_unclear": 1, "per_task": 1, "ungraded": 1}


def test_off_policy_pairs_take_each_side_from_its_run(renderer: ChatRenderer) -> None:
    expert = [Rollout(trace("g", LOOK, GOOD), "expert", "chosen"), Rollout(trace("x", BAD, score=0.0), "expert", "chosen")]
    own = [Rollout(trace("h", GOOD), "own", "rejected"), Rollout(trace("b", LOOK, BAD, score=0.0), "own", "rejected")]
    (row,), _ = pair([*expert, *own], renderer)
    assert (row["trace_id"], row["rejected_trace_id"], row["on_policy"]) == ("g", "b", False)


def test_on_policy_pairs_lie_within_one_run(renderer: ChatRenderer) -> None:
    one = [Rollout(trace("g", GOOD), "one"), Rollout(trace("b", BAD, score=0.0, task="t2", question="Q2?"), "one")]
    two = [Rollout(trace("c", BAD, score=0.0), "two"), Rollout(trace("h", GOOD, task="t2", question="Q2?"), "two"),
           Rollout(trace("d", LOOK, BAD, score=0.0, task="t2", question="Q2?"), "two")]
    (row,), funnel = pair([*one, *two], renderer, on_policy=True)
    assert (row["trace_id"], row["rejected_trace_id"], row["on_policy"]) == ("h", "d", True)
    assert funnel.skipped == {"not_in_one_run": 1}
    assert sorted(row["on_policy"] for row in pair([*one, *two], renderer)[0]) == [False, False, True]


def test_best_against_worst_by_the_verifier(renderer: ChatRenderer) -> None:
    good = [Rollout(trace(f"g{i}", *[LOOK] * i, GOOD), score=score) for i, score in enumerate((0.4, 0.9, 0.6))]
    bad = [Rollout(trace(f"b{i}", *[LOOK] * i, BAD, score=0.0), score=score) for i, score in enumerate((0.7, 0.3, 0.1))]
    (row,), _ = pair([*good, *bad], renderer, best_worst=True, per_task=1)
    assert (row["trace_id"], row["rejected_trace_id"]) == ("g1", "b2")
    assert (row["chosen_score"], row["rejected_score"]) == (0.9, 0.1)
    plain, _ = pair([*good, *bad], renderer, per_task=1)
    assert len(plain[0]["prompt_ids"]) > len(row["prompt_ids"])  # without scores the longest shared opening comes first


def test_best_against_worst_leaves_out_what_has_no_score(renderer: ChatRenderer) -> None:
    rollouts = [Rollout(trace("g", GOOD), score=0.2), Rollout(trace("b", BAD, score=0.0), score=0.8),
                Rollout(trace("h", LOOK, GOOD))]
    (row,), funnel = pair(rollouts, renderer, best_worst=True)
    assert (row["trace_id"], row["rejected_trace_id"]) == ("g", "b")
    assert funnel.skipped == {"no_score": 1}


def test_tasks_without_a_pair_are_counted_by_reason(renderer: ChatRenderer) -> None:
    rollouts = [Rollout(item) for item in (
        trace("a", GOOD, task="solved"), trace("b", BAD, task="failed", score=0.0), trace("c", GOOD, task="apart"),
        trace("d", BAD, task="apart", question="Other?", score=0.0))]
    rows, funnel = pair([*rollouts, Rollout(trace("e", BAD, task="side", score=0.0), "x", "chosen")], renderer)
    assert rows == []
    assert funnel.skipped == {"no_failure": 1, "no_success": 1, "no_shared_opening": 1, "no_side": 1}


def test_both_sides_carry_loss_on_sampled_tokens_alone(renderer: ChatRenderer) -> None:
    good = sampled_by_character(played("g", LOOK_AT, RIGHT, DONE), renderer)
    bad = sampled_by_character(played("b", LOOK_AT, WRONG, submit_turn(answer=7), score=0.0), renderer)
    (row,), _ = pair([Rollout(good), Rollout(bad)], renderer)
    for side, item in (("chosen", good), ("rejected", bad)):
        whole = row["prompt_ids"] + row[f"{side}_ids"]
        assert whole == item.tokens.ids[: len(whole)]
        start = len(row["prompt_ids"])
        assert row[f"{side}_mask"] == item.tokens.mask[start : len(whole)]
        assert "error" not in renderer.tokenizer.decode([token for token, on in zip(row[f"{side}_ids"], row[f"{side}_mask"],
                                                                                   strict=True) if on])


LOOK_AT = run_turn("look()")


@pytest.mark.parametrize("bad", [{"level": "step", "best_worst": True}, {"level": "step", "on_policy": True}, {"level": "turn"}])
def test_kinds_that_exclude_each_other_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PairOptions(**bad)
