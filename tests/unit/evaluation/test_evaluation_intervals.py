"""Intervals against numbers worked out by hand, and the properties that hold for any data."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from medcopilot.evaluation.intervals import (
    Interval,
    cluster_bootstrap,
    mcnemar_exact,
    paired_cluster_bootstrap,
    sign_flip,
    wilson,
)

COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 8)), min_size=2, max_size=80)


def test_wilson_of_five_in_ten():
    # z = 1.959964: centre 0.5, half width z sqrt(0.25/10 + z^2/400) / (1 + z^2/10) = 0.26341
    estimate, low, high = wilson(5, 10)
    assert (estimate, low, high) == pytest.approx((0.5, 0.236593, 0.763407), abs=1e-6)


def test_wilson_of_nothing_and_of_all():
    # 0 of n: high = z^2 / (n + z^2) = 3.841459 / 13.841459
    assert wilson(0, 10) == pytest.approx((0.0, 0.0, 0.277533), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((1.0, 0.722467, 1.0), abs=1e-6)
    assert all(isnan(value) for value in wilson(0, 0))
    with pytest.raises(ValueError, match="successes"):
        wilson(3, 2)


@settings(deadline=None)
@given(COUNTS)
def test_wilson_agrees_with_statsmodels_and_is_symmetric(counts):
    successes, n = counts
    interval = wilson(successes, n)
    assert interval[1:] == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-9)
    mirrored = wilson(n - successes, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(interval[1:], abs=1e-12)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


def test_bootstrap_of_two_opposite_clusters_knows_only_three_means():
    # clusters {1} and {0}: a resample has mean 0, 1/2 or 1 with probability 1/4, 1/2, 1/4
    assert cluster_bootstrap([1, 0], ["a", "b"]) == Interval(0.5, 0.0, 1.0)


def test_bootstrap_weighs_clusters_by_their_size():
    # mean over values, not over clusters: (3 * 1 + 1 * 0) / 4
    assert cluster_bootstrap([1, 1, 1, 0], ["a", "a", "a", "b"]).estimate == 0.75


def test_bootstrap_width_matches_theory_for_single_value_clusters():
    values = np.repeat([0.0, 1.0], 200)
    interval = cluster_bootstrap(values, np.arange(400), resamples=20_000)
    # standard error sqrt(0.25 / 400) = 0.025, so about 0.5 -+ 0.049
    assert interval == pytest.approx((0.5, 0.451, 0.549), abs=0.004)


def test_bootstrap_is_wider_when_values_share_clusters():
    values = np.tile(np.repeat([0.0, 1.0], 5), 20)
    alone = cluster_bootstrap(values, np.arange(200))
    together = cluster_bootstrap(values, np.arange(200) // 5)
    # five equal values per cluster: the standard error grows by sqrt(5)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(5**0.5, rel=0.15)


def test_one_cluster_and_no_values_have_no_interval():
    one = cluster_bootstrap([1, 0, 1], ["a", "a", "a"])
    assert one.estimate == pytest.approx(2 / 3)
    assert isnan(one.low)
    assert not one.excludes(0.0)
    assert all(isnan(value) for value in cluster_bootstrap([], []))


@settings(max_examples=40, deadline=None)
@given(OUTCOMES, st.integers(0, 5))
def test_bootstrap_is_deterministic_bounded_and_blind_to_order_and_names(rows, seed):
    values, clusters = [row[0] for row in rows], [row[2] for row in rows]
    interval = cluster_bootstrap(values, clusters, seed=seed, resamples=200)
    assert interval == pytest.approx(cluster_bootstrap(values, clusters, seed=seed, resamples=200), nan_ok=True)
    shuffled = list(zip(values, (f"name {8 - cluster}" for cluster in clusters), strict=True))[::-1]
    assert interval == pytest.approx(cluster_bootstrap(*zip(*shuffled, strict=True), seed=seed, resamples=200), nan_ok=True)
    if not isnan(interval.low):
        assert 0 <= interval.low <= interval.high <= 1


@settings(max_examples=40, deadline=None)
@given(OUTCOMES)
def test_paired_difference_is_antisymmetric_and_zero_against_itself(rows):
    a, b, clusters = zip(*rows, strict=True)
    forward = paired_cluster_bootstrap(a, b, clusters, resamples=200)
    backward = paired_cluster_bootstrap(b, a, clusters, resamples=200)
    assert forward.estimate == pytest.approx(np.mean(b) - np.mean(a))
    assert backward.estimate == pytest.approx(-forward.estimate)
    same = paired_cluster_bootstrap(a, a, clusters, resamples=200)
    assert same.estimate == 0.0
    assert same.low in (0.0, pytest.approx(nan, nan_ok=True))


def test_pairing_finds_what_separate_intervals_cannot():
    rng = np.random.default_rng(1)
    a = rng.random(300) < 0.5
    b = a | (rng.random(300) < 0.08)
    clusters = np.arange(300)
    assert paired_cluster_bootstrap(a, b, clusters).excludes(0.0)
    assert cluster_bootstrap(a, clusters).high > cluster_bootstrap(b, clusters).low


def test_paired_arrays_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="one length"):
        paired_cluster_bootstrap([1, 0], [1], ["a", "b"])


def test_mcnemar_by_hand():
    # 1 loss, 5 gains: 2 * (C(6,0) + C(6,1)) / 2^6 = 14 / 64
    a = [1, 0, 0, 0, 0, 0, 1, 0]
    b = [0, 1, 1, 1, 1, 1, 1, 0]
    assert mcnemar_exact(a, b) == (1, 5, pytest.approx(14 / 64))
    assert mcnemar_exact([1, 0], [1, 0]) == (0, 0, 1.0)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_statsmodels(losses, gains):
    a, b = [True] * losses + [False] * gains, [False] * losses + [True] * gains
    expected = mcnemar([[0, losses], [gains, 0]], exact=True).pvalue if losses + gains else 1.0
    assert mcnemar_exact(a, b).p_value == pytest.approx(min(1.0, expected), abs=1e-9)


def test_coin_flips_by_hand():
    assert sign_flip([1, 2, 4], ["a", "b", "c"]) == 2 / 8  # only all plus and all minus are as far from 0
    assert sign_flip([1, 1, 2, 2, -2], ["a", "a", "b", "c", "c"]) == 0.5  # sums 2, 2 and 0
    assert sign_flip([1, 1, 1, 1, 1], list("abcde")) == 2 / 32
    assert (sign_flip([0, 0], ["a", "b"]), sign_flip([1, -1], ["a", "a"])) == (1.0, 1.0)
    assert isnan(sign_flip([], []))


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=11))
@settings(max_examples=60, deadline=None)
def test_coin_flips_are_scipys(sums):
    theirs = permutation_test((np.array(sums, dtype=float), np.zeros(len(sums))), lambda x, y, axis: np.mean(x - y, axis=axis),
                              permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(sums, range(len(sums))) == pytest.approx(theirs.pvalue)


def test_drawn_coin_flips_are_near_all_of_them():
    rng = np.random.default_rng(3)
    values, labels = rng.normal(0.5, 1.0, 13), np.arange(13)
    signs = 1.0 - 2.0 * ((np.arange(2**13)[:, None] >> np.arange(13)) & 1)
    every = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip(values, labels, resamples=20_000) == pytest.approx(every, abs=0.01)


@pytest.mark.parametrize("clusters", [4, 5, 8, 16])
def test_equal_policies_are_told_apart_at_most_one_time_in_twenty(clusters):
    """Three tasks a cluster, hard or easy together. Percentile intervals alone exclude 0 in 11 to 17 % of such trials."""
    rng = np.random.default_rng(clusters)
    labels, told, trials = np.repeat(np.arange(clusters), 3), 0, 400
    for _ in range(trials):
        rate = np.repeat(rng.beta(0.7, 0.7, (2, clusters)), 3, axis=1)
        a, b = (rng.random((2, 3 * clusters)) < rate).astype(float)
        told += sign_flip(b - a, labels, resamples=400) < 0.05
    assert told <= 0.05 * trials + 3 * (0.05 * 0.95 * trials) ** 0.5
