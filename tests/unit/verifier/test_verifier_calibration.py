"""AUROC, Brier score and calibration by hand, and against the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medcopilot.verifier.calibration import auroc, auroc_interval, brier, expected_calibration_error, reliability, within_tasks

EPISODES = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=2, max_size=30)


@pytest.mark.parametrize(("scores", "outcomes", "expected"), [
    ([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0], 3 / 4),  # of four pairs one is the wrong way round: 0.3 below 0.8
    ([0.9, 0.1], [1, 0], 1.0), ([0.1, 0.9], [1, 0], 0.0),
    ([0.5, 0.5], [1, 0], 0.5),
    ([0.5, 0.5, 0.2], [1, 0, 0], 0.75),  # a tie counts half
    ([0.7, 0.7, 0.7, 0.7], [1, 0, 1, 0], 0.5),
])
def test_auroc_by_hand(scores: list[float], outcomes: list[int], expected: float) -> None:
    assert auroc(scores, outcomes) == pytest.approx(expected)


@given(EPISODES)
def test_auroc_is_the_share_of_pairs_in_order(episodes: list[tuple[float, bool]]) -> None:
    good = [score for score, right in episodes if right]
    bad = [score for score, right in episodes if not right]
    assume(good and bad)
    pairs = [1.0 if g > b else 0.5 if g == b else 0.0 for g in good for b in bad]
    scores, outcomes = zip(*episodes, strict=True)
    assert auroc(scores, outcomes) == pytest.approx(np.mean(pairs))
    assert auroc(1 - np.array(scores), outcomes) == pytest.approx(1 - np.mean(pairs))


@pytest.mark.parametrize(("outcomes", "word"), [([1, 1], "correct"), ([0, 0], "wrong")])
def test_one_class_is_refused_in_one_sentence(outcomes: list[int], word: str) -> None:
    for function in (auroc, lambda s, y: auroc_interval(s, y, ["a", "b"])):
        with pytest.raises(ValueError, match=f"all 2 are {word}"):
            function([0.1, 0.2], outcomes)


def test_the_interval_holds_the_estimate_and_follows_the_seed() -> None:
    rng = np.random.default_rng(0)
    outcomes = rng.integers(0, 2, 120)
    scores = np.clip(0.35 + 0.3 * outcomes + 0.25 * rng.standard_normal(120), 0, 1)
    tasks = np.repeat(np.arange(40), 3)
    found = auroc_interval(scores, outcomes, tasks, seed=1)
    assert found.estimate == pytest.approx(auroc(scores, outcomes))
    assert 0.5 < found.low < found.estimate < found.high < 1
    assert auroc_interval(scores, outcomes, tasks, seed=1) == found


def test_copies_of_an_episode_within_its_task_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    outcomes = np.arange(30) % 2
    scores = np.clip(0.4 + 0.2 * outcomes + 0.3 * rng.standard_normal(30), 0, 1)
    once = auroc_interval(scores, outcomes, np.arange(30))
    copied = auroc_interval(np.repeat(scores, 9), np.repeat(outcomes, 9), np.repeat(np.arange(30), 9))
    assert copied == pytest.approx(once)
    naive = auroc_interval(np.repeat(scores, 9), np.repeat(outcomes, 9), np.arange(270))
    assert naive.high - naive.low < 0.5 * (once.high - once.low)


def test_without_a_second_task_there_are_no_bounds() -> None:
    found = auroc_interval([0.9, 0.1], [1, 0], ["a", "a"])
    assert found.estimate == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_choices_within_a_task_by_hand() -> None:
    # a: 0.6 above 0.5, right; b: a tie, half; c has one outcome only and no pair
    found = within_tasks([0.6, 0.5, 0.9, 0.9, 0.1], [1, 0, 1, 0, 1], ["a", "a", "b", "b", "c"])
    assert found == (0.75, 2)
    assert math.isnan(within_tasks([0.6, 0.5], [1, 0], ["a", "b"]).share)


def test_brier_by_hand() -> None:
    assert brier([0.9, 0.2], [1, 0]) == pytest.approx((0.01 + 0.04) / 2)
    assert brier([0.5] * 4, [1, 0, 1, 0]) == 0.25


def test_calibration_by_hand() -> None:
    scores, outcomes = [0.25, 0.25, 0.75, 0.75], [0, 1, 1, 1]
    table = reliability(scores, outcomes)
    assert [row.count for row in table] == [0, 0, 2, 0, 0, 0, 0, 2, 0, 0]
    assert table[2] == (0.2, 0.3, 2, 0.25, 0.5)
    assert table[7][3:] == (0.75, 1.0)
    assert math.isnan(table[0].score)
    assert expected_calibration_error(scores, outcomes) == pytest.approx(0.5 * 0.25 + 0.5 * 0.25)
    assert expected_calibration_error([0.5] * 4, outcomes[:2] * 2) == 0.0


def test_every_score_has_a_bin() -> None:
    table = reliability([0.0, 0.1, 0.3, 0.7, 1.0], [0, 1, 0, 1, 1])
    assert [row.count for row in table] == [1, 1, 0, 1, 0, 0, 0, 1, 0, 1]


@pytest.mark.parametrize(("scores", "outcomes"), [([], []), ([0.1], [1, 0]), ([1.2, 0.1], [1, 0]), ([float("nan"), 0.1], [1, 0]),
                                                  ([0.1, 0.2], [2, 0])])
def test_what_is_no_score_or_outcome_is_refused(scores: list[float], outcomes: list[int]) -> None:
    with pytest.raises(ValueError, match="scores"):
        brier(scores, outcomes)
