"""Group-relative advantages, by hand and by property."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcopilot.rl.advantages import EPSILON, group_advantages, informative

REWARDS = st.lists(st.none() | st.floats(-5, 5), min_size=0, max_size=20)


def test_by_hand() -> None:
    # mean 1/2, sample standard deviation sqrt(4 * 0.25 / 3) = 0.57735
    expected = 0.5 / (math.sqrt(1 / 3) + EPSILON)
    assert group_advantages([1.0, 0.0, 0.0, 1.0]) == pytest.approx([expected, -expected, -expected, expected])
    assert group_advantages([1.0, 0.0, 0.0, 1.0], "none") == pytest.approx([0.5, -0.5, -0.5, 0.5])


def test_a_failure_of_ours_changes_nothing_for_the_others() -> None:
    with_failure = group_advantages([1.0, None, 0.0, 0.0, None])
    without = group_advantages([1.0, 0.0, 0.0])
    assert [value for i, value in enumerate(with_failure) if i not in (1, 4)] == without
    assert with_failure[1] == with_failure[4] == 0.0


@pytest.mark.parametrize("rewards", [[], [None, None], [1.0, None, None], [0.7]])
def test_fewer_than_two_rewards_teach_nothing(rewards: list[float | None]) -> None:
    assert group_advantages(rewards) == [0.0] * len(rewards)


@given(REWARDS)
def test_advantages_sum_to_zero_and_keep_the_order(rewards: list[float | None]) -> None:
    advantages = group_advantages(rewards)
    assert sum(advantages) == pytest.approx(0.0, abs=1e-6)
    graded = [(reward, advantage) for reward, advantage in zip(rewards, advantages, strict=True) if reward is not None]
    for one, other in zip(sorted(graded), sorted(graded)[1:], strict=False):
        assert one[1] <= other[1] + 1e-9


@given(REWARDS, st.floats(-3, 3))
def test_a_constant_added_to_all_rewards_changes_nothing(rewards: list[float | None], shift: float) -> None:
    moved = [None if reward is None else reward + shift for reward in rewards]
    assert group_advantages(moved) == pytest.approx(group_advantages(rewards), abs=1e-6)


@pytest.mark.parametrize(("outcomes", "expected"), [([True, False], True), ([True, True, True], False), ([False, False], False),
                                                    ([True, None, None], False), ([True, None, False], True), ([], False)])
def test_informative(outcomes: list[bool | None], expected: bool) -> None:
    assert informative(outcomes) is expected
