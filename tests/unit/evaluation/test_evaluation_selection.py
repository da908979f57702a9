"""Pass@K, Best@K, majority@K and the random choice against all subsets, one by one."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from env.errors import UserError
from medcopilot.evaluation.selection import SILENT, expected_best, expected_majority, expected_pass, expected_random


@st.composite
def rollouts(draw):
    n = draw(st.integers(1, 8))
    correct = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    scores = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    answers = draw(st.lists(st.integers(SILENT, 3), min_size=n, max_size=n))
    always = draw(st.none() | st.integers(0, n - 1))
    return correct, scores, answers, always


def subsets(n, k, always):
    return [chosen for chosen in combinations(range(n), k) if always is None or always in chosen]


def by_hand(n, always, value):
    """The mean of `value(subset)` over all subsets, for K = 1 ... n."""
    return [np.mean([value(list(chosen)) for chosen in subsets(n, k, always)]) for k in range(1, n + 1)]


@settings(max_examples=150, deadline=None)
@given(rollouts())
def test_pass_and_random_choice_are_the_means_over_all_subsets(case):
    correct, _, _, always = case
    good, ks = np.array(correct), range(1, len(correct) + 1)
    assert expected_pass(correct, ks, always) == pytest.approx(by_hand(len(good), always, lambda s: good[s].max()))
    assert expected_random(correct, ks, always) == pytest.approx(by_hand(len(good), always, lambda s: good[s].mean()))


@settings(max_examples=150, deadline=None)
@given(rollouts())
def test_best_is_the_mean_over_all_subsets_with_ties_shared(case):
    correct, scores, _, always = case
    good, marks = np.array(correct), np.array(scores)

    def value(s):
        return good[s][marks[s] == marks[s].max()].mean()

    assert expected_best(correct, scores, range(1, len(good) + 1), always) == pytest.approx(by_hand(len(good), always, value))


@settings(max_examples=150, deadline=None)
@given(rollouts())
def test_majority_is_the_mean_over_all_subsets_with_ties_shared(case):
    correct, _, answers, always = case
    good, codes = np.array(correct), np.array(answers)
    right = {code: good[codes == code].mean() for code in answers}

    def value(s):
        votes = {code: int((codes[s] == code).sum()) for code in set(codes[s].tolist()) - {SILENT}}
        most = max(votes.values(), default=0)
        return np.mean([right[code] for code, count in votes.items() if count == most]) if votes else 0.0

    assert expected_majority(correct, answers, range(1, len(good) + 1), always) == pytest.approx(by_hand(len(good), always, value))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.data())
def test_pass_is_the_binomial_formula_and_scipys_hypergeometric_for_large_n(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    value = float(expected_pass([1] * c + [0] * (n - c), [k])[0])
    assert value == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-9)
    assert value == pytest.approx(hypergeom(n, c, k).sf(0), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(rollouts())
def test_choosing_never_beats_having_and_k_of_one_is_the_mean(case):
    correct, scores, _, always = case
    ks = range(1, len(correct) + 1)
    having, best = expected_pass(correct, ks, always), expected_best(correct, scores, ks, always)
    assert np.all(best <= having + 1e-12)
    assert np.all(np.diff(having) >= -1e-12)
    assert having[0] == pytest.approx(correct[always] if always is not None else np.mean(correct))
    perfect = expected_best(correct, correct, ks, always)
    assert perfect == pytest.approx(having)  # a verifier that knows the grade has no regret
    assert expected_best(correct, [0] * len(correct), ks, always) == pytest.approx(expected_random(correct, ks, always))


def test_best_by_hand():
    # scores 3 > 2 > 1, the middle one is right: of the pairs {3,2}, {3,1}, {2,1} only the last is answered rightly
    assert expected_best([0, 1, 0], [3, 2, 1], [1, 2, 3]) == pytest.approx([1 / 3, 1 / 3, 0.0])


def test_more_rollouts_than_can_be_counted_are_refused_in_words():
    with pytest.raises(UserError, match="more than 1,000 rollouts"):
        expected_majority([1, 0] * 550, [0, 1] * 550, [1])
    assert expected_majority([1, 0] * 500, [0, 1] * 500, [1]) == pytest.approx(0.5)


def test_majority_by_hand():
    # answers a a b, a is right. K = 2: {a,a} right, {a,b} twice a tie: (1 + 1/2 + 1/2) / 3. K = 3: a has two votes
    assert expected_majority([1, 1, 0], [7, 7, 9], [1, 2, 3]) == pytest.approx([2 / 3, 2 / 3, 1.0])
    # a crowd that agrees on the wrong answer outvotes the right one, whatever K
    assert expected_majority([1, 0, 0], [1, 2, 2], [1, 3]) == pytest.approx([1 / 3, 0.0])


def test_the_first_rollout_is_greedy_and_always_there():
    # greedy wrong, one of two sampled ones right: K = 1 is the greedy one alone
    assert expected_pass([0, 1, 0], [1, 2, 3], always=0) == pytest.approx([0.0, 0.5, 1.0])
    assert expected_pass([1, 0, 0], [1, 2, 3], always=0) == pytest.approx([1.0, 1.0, 1.0])


def test_more_rollouts_than_there_are_is_not_a_number():
    for values in (expected_pass([1, 0], [2, 3]), expected_random([1, 0], [2, 3]), expected_best([1, 0], [1, 2], [2, 3]),
                   expected_majority([1, 0], [1, 2], [2, 3]), expected_pass([1, 0], [2, 3], always=0),
                   expected_best([1, 0], [1, 2], [2, 3], always=1), expected_majority([1, 0], [1, 2], [2, 3], always=1),
                   expected_random([1, 0], [2, 3], always=1)):
        assert np.isnan(values).tolist() == [False, True]


def test_majority_of_many_rollouts_is_quick_and_finite():
    rng = np.random.default_rng(0)
    answers = rng.integers(-1, 6, 64)
    values = expected_majority(answers == 0, answers, range(1, 65))
    assert np.all((values >= 0) & (values <= 1))


@pytest.mark.parametrize(("correct", "ks"), [([0.5], [1]), ([], [1]), ([1], [0])])
def test_what_is_no_outcome_is_refused(correct, ks):
    with pytest.raises(ValueError, match="must be"):
        expected_pass(correct, ks)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="finite"):
        expected_best([1, 0], [0.5, np.nan], [1])
