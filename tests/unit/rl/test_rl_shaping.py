"""Reward terms."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rewards.shaping import TERMS, Rollout, check_weights, total

ROLLOUTS = st.builds(lambda score, turns, share, limit: Rollout(score, turns, int(share * turns), limit),
                     st.none() | st.floats(0, 1), st.integers(0, 30), st.floats(0, 1), st.integers(1, 15))


@given(ROLLOUTS)
@example(Rollout(score=1.0, turns=0, refused=0, turn_limit=2))
def test_terms_lie_between_zero_and_one(rollout: Rollout) -> None:
    for term in TERMS.values():
        assert 0.0 <= term(rollout) <= 1.0


@given(ROLLOUTS)
def test_ungraded_rollouts_have_no_reward_whatever_the_weights(rollout: Rollout) -> None:
    assert (total(rollout, {"format": 1.0, "outcome": 2.0})[0] is None) == (rollout.score is None)


def test_weighted_sum_by_hand() -> None:
    value, terms = total(Rollout(score=1.0, turns=4, refused=1, turn_limit=7), {"outcome": 1.0, "format": 0.2, "brevity": 0.1})
    assert terms == {"outcome": 1.0, "format": 0.75, "brevity": 0.5}
    assert value == pytest.approx(1.0 + 0.15 + 0.05)


def test_brevity_never_pays_for_a_wrong_answer() -> None:
    assert TERMS["brevity"](Rollout(score=0.0, turns=1, refused=0, turn_limit=7)) == 0.0


def test_unknown_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown reward term 'luck': choose from outcome"):
        check_weights({"outcome": 1.0, "luck": 1.0})
    with pytest.raises(ValueError, match="no reward term"):
        check_weights({})
