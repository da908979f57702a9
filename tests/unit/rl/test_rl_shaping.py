"""Reward terms."""

import asyncio
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from env.task import Limits
from medcopilot.rl.shaped import rollout_of, scores_of
from medcopilot.trace import GradeRecord, Turn
from rewards.shaping import COSTS, TERMS, Rollout, check_weights, total

ROLLOUTS = st.builds(
    lambda score, turns, share, limit, tokens, most, loops, verifier: Rollout(score, turns, int(share * turns), limit, tokens, most,
                                                                              loops, verifier),
    st.none() | st.floats(0, 1), st.integers(0, 30), st.floats(0, 1), st.integers(1, 15), st.integers(0, 9000),
    st.integers(0, 8000), st.floats(0, 1), st.floats(0, 1))
ONE = Rollout(score=1.0, turns=4, refused=1, turn_limit=7, tokens=300, token_limit=1200, loop_share=0.5, verifier=0.8)


@given(ROLLOUTS)
@example(Rollout(score=1.0, turns=0, refused=0, turn_limit=2, verifier=0.0))
def test_credits_lie_in_zero_to_one_and_costs_in_minus_one_to_zero(rollout: Rollout) -> None:
    for name, term in TERMS.items():
        low, high = (-1.0, 0.0) if name in COSTS else (0.0, 1.0)
        assert low <= term(rollout) <= high


@given(ROLLOUTS)
def test_ungraded_rollouts_have_no_reward_whatever_the_weights(rollout: Rollout) -> None:
    assert (total(rollout, {"format": 1.0, "outcome": 2.0})[0] is None) == (rollout.score is None)


def test_weighted_sum_by_hand() -> None:
    value, terms = total(Rollout(score=1.0, turns=4, refused=1, turn_limit=7), {"outcome": 1.0, "format": 0.2, "brevity": 0.1})
    assert terms == {"outcome": 1.0, "format": 0.75, "brevity": 0.5}
    assert value == pytest.approx(1.0 + 0.15 + 0.05)


def test_costs_and_the_verifier_by_hand() -> None:
    value, terms = total(ONE, {"outcome": 1.0, "turn_cost": 0.1, "length_cost": 0.2, "loop_penalty": 0.4, "verifier": 0.5})
    assert terms == {"outcome": 1.0, "turn_cost": -0.5, "length_cost": -0.25, "loop_penalty": -0.5, "verifier": 0.8}
    assert value == pytest.approx(1.0 - 0.05 - 0.05 - 0.2 + 0.4)


@pytest.mark.parametrize(("changes", "name", "value"), [
    ({"turns": 1}, "turn_cost", 0.0), ({"turns": 7}, "turn_cost", -1.0), ({"turns": 0}, "turn_cost", 0.0),
    ({"turns": 9}, "turn_cost", -1.0), ({"turn_limit": 1}, "turn_cost", 0.0),
    ({"tokens": 0}, "length_cost", 0.0), ({"tokens": 1200}, "length_cost", -1.0), ({"tokens": 9999}, "length_cost", -1.0),
    ({"token_limit": 0}, "length_cost", 0.0),
    ({"loop_share": 0.0}, "loop_penalty", 0.0), ({"loop_share": 1.0}, "loop_penalty", -1.0),
])
def test_costs_at_their_edges(changes: dict, name: str, value: float) -> None:
    assert TERMS[name](ONE._replace(**changes)) == value


@pytest.mark.parametrize("name", sorted(COSTS))
def test_costs_fall_on_right_and_wrong_answers_alike(name: str) -> None:
    assert TERMS[name](ONE) == TERMS[name](ONE._replace(score=0.0)) < 0


def test_brevity_never_pays_for_a_wrong_answer() -> None:
    assert TERMS["brevity"](Rollout(score=0.0, turns=1, refused=0, turn_limit=7)) == 0.0


def test_unknown_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown reward term 'luck': choose from outcome"):
        check_weights({"outcome": 1.0, "luck": 1.0})
    with pytest.raises(ValueError, match="no reward term"):
        check_weights({})


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_weights_that_turn_a_term_round_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="costs are negative by themselves"):
        check_weights({"outcome": 1.0, "turn_cost": weight})


def test_a_verifier_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs a verifier: set rollouts\.verifier"):
        check_weights({"outcome": 1.0, "verifier": 0.0}, verifier=False)
    with pytest.raises(ValueError, match="needs a verifier"):
        total(ONE._replace(verifier=None), {"verifier": 0.5})
    assert total(ONE._replace(verifier=None, score=None), {"verifier": 0.5}) == (None, {})


def test_a_trace_as_a_rollout(task_of, trace_of) -> None:
    looped = Turn(reply="{}", action="code_execution", params={"code": "print(1)"}, observation="1")
    again = looped.model_copy(update={"reply": '{"action": "x"}', "params": {"code": "print( 1 )"}})
    refused = Turn(reply="eh", problem="format", observation="No JSON object found.")
    trace = trace_of(task_of(), 1.0).model_copy(update={"turns": [looped, again, refused, refused]})
    limits = Limits(turns=8, turn_tokens=100, context_tokens=600)
    assert rollout_of(trace, limits, 0.7) == Rollout(score=1.0, turns=4, refused=2, turn_limit=8, tokens=3, token_limit=600,
                                                     loop_share=0.5, verifier=0.7)
    assert rollout_of(trace, limits.model_copy(update={"turns": 5})).token_limit == 500
    for failed in (trace_of(task_of(), None), trace_of(task_of(), 1.0, mask=[0] * 6)):
        assert rollout_of(failed, limits).score is None


def test_the_verifier_is_asked_about_what_the_chosen_grader_judged(task_of, trace_of) -> None:
    trace = trace_of(task_of(), 1.0)
    trace.grades["strict"] = GradeRecord(score=None, label="unsupported")
    for grader, expected in (("strict", None), ("paper", 0.5)):
        assert asyncio.run(scores_of([trace], lambda traces: [0.5] * len(traces), grader)) == [expected]
        assert (rollout_of(trace, Limits(), grader=grader).score is None) == (expected is None)
