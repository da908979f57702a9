"""Intervals and tests for success rates: pure functions on arrays.

Promises: every function is deterministic (a seed where it samples) and says where its formula comes from. An interval that the
data cannot support has NaN bounds, never a width of zero by accident of one cluster.
Does not cover: which episodes belong together (`columns`) and which numbers a table shows (`summary`, `compare`).

Notation: n episodes, T tasks, K clusters, B resamples, M measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm

RESAMPLES = 2000
LEVEL = 0.95
_NO_WIDTH = 1e-9
_CHUNK = 4_000_000  # entries of the resampling matrix held at once (32 MB)
_DRAWN = 500_000  # clusters drawn one by one at once: the counts then stay in a processor's cache
_ALL_SIGNS = 12
_KINDS_PER_CLUSTER, _FEW = 16, 500  # a multinomial of fewer parts than this is the faster draw


class Interval(NamedTuple):
    """A point estimate with its bounds."""

    estimate: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside the bounds; False when there are none."""
        return self.low > value or self.high < value


class McNemar(NamedTuple):
    """Discordant pairs and the exact two-sided p-value."""

    only_a: int
    only_b: int
    p_value: float


def wilson(successes: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209; Brown, Cai and DasGupta 2001, Stat. Sci. 16:101).

    `successes` and `n` may be fractional (an effective sample size). NaN everywhere when `n` is 0.

    Raises:
        ValueError: unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, n], got {successes} of {n}")
    if n == 0:
        return Interval(nan, nan, nan)
    z2 = float(norm.ppf(0.5 + level / 2)) ** 2
    p = successes / n
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2) * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(p, min(low, p), max(high, p))


def cluster_bootstrap(values: ArrayLike, clusters: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0,
                      level: float = LEVEL) -> Interval:
    """Percentile interval of a mean whose values come in clusters.

    Whole clusters are drawn with replacement and the mean is taken over the values in them, so values that share a cluster
    (a template and a block of patients) do not count as independent. Method: Davison and Hinkley 1997, section 3.8; Field and
    Welsh 2007, JRSS B 69:369; for language-model evaluations, Miller 2024, arXiv 2411.00640.

    Args:
        values: shape (n,).
        clusters: shape (n,), a label per value.
        resamples: B.
        level: coverage aimed at.

    Returns:
        The mean with its bounds; bounds are NaN with fewer than two clusters, all NaN without values.
    """
    numbers = np.asarray(values, dtype=float)
    sums, sizes = _per_cluster(numbers, np.asarray(clusters))
    return _bootstrap_ratio(sums, sizes, resamples, seed, level)


def paired_cluster_bootstrap(a: ArrayLike, b: ArrayLike, clusters: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0,
                             level: float = LEVEL) -> Interval:
    """Interval of mean(b - a) over tasks that both runs solved or failed; the same clusters are drawn for both runs.

    Pairing removes the variance between tasks: Miller 2024, arXiv 2411.00640, section 4.2; resampling as in
    `cluster_bootstrap`.

    Args:
        a: shape (T,), each task's mean over its samples.
        b: the same of the other run, in the same order.
        clusters: shape (T,).

    Raises:
        ValueError: the three differ in length.
    """
    first, second, labels = np.asarray(a, dtype=float), np.asarray(b, dtype=float), np.asarray(clusters)
    if not first.shape == second.shape == labels.shape:
        raise ValueError(f"a, b and clusters must have one length, got {first.shape}, {second.shape} and {labels.shape}")
    return cluster_bootstrap(second - first, labels, resamples=resamples, seed=seed, level=level)


def mcnemar_exact(a: ArrayLike, b: ArrayLike) -> McNemar:
    """Exact two-sided McNemar test on paired outcomes, shape (T,) each, true = success.

    Under the null the discordant pairs are fair coins: p = min(1, 2 P(X <= min(only_a, only_b))), X binomial with 1/2
    (McNemar 1947, Psychometrika 12:153; exact form: Agresti 2013, section 11.1.1). It treats tasks as independent; the
    clustered statement is `paired_cluster_bootstrap`.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"a and b must have one length, got {first.shape} and {second.shape}")
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    p_value = min(1.0, 2.0 * float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))
    return McNemar(only_a, only_b, p_value)


def sign_flip(values: ArrayLike, clusters: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p-value of a mean of 0: how often the mean would be as far from 0 if every cluster's sum took its sign by a coin.

    Holds at its level for any number of clusters, where percentile intervals of few are too narrow: fewer than six that are not
    0 never reach p < 0.05. All signs are tried up to 12 such clusters, else `resamples` drawn ones, of which the found ones count
    as one. Method: Fisher's randomisation test on clusters; Canay, Romano and Shaikh 2017, Econometrica 85:1013.

    Args:
        values: shape (n,), e.g. paired differences.
        clusters: shape (n,), a label per value.

    Returns:
        p; 1 where every cluster's sum is 0, NaN without values.
    """
    sums, _ = _per_cluster(np.asarray(values, dtype=float), np.asarray(clusters))
    if not len(sums):
        return nan
    sums = sums[np.abs(sums) > _NO_WIDTH]
    if not len(sums):
        return 1.0
    far = abs(float(sums.sum())) - _NO_WIDTH * len(sums)
    if len(sums) <= _ALL_SIGNS:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(sums))))
        return float((np.abs(signs @ sums) >= far).mean())
    rng, rows, hits = np.random.default_rng(seed), max(1, _CHUNK // len(sums)), 1
    for start in range(0, resamples, rows):
        signs = rng.choice([-1.0, 1.0], size=(min(rows, resamples - start), len(sums)))
        hits += int((np.abs(signs @ sums) >= far).sum())
    return hits / (resamples + 1)


def open_ended(found: Interval, clusters: int, lowest: float, highest: float, level: float = LEVEL) -> Interval:
    """The interval; where all clusters are alike, so that drawing them again gives no width, what a share of unseen clusters as
    large as Wilson's bound leaves open could make of the mean, if they lay at the ends of the scale. For a rate of 0 or 1 that is
    Wilson's interval with n = clusters; two tasks that are both better are not a difference that excludes 0.
    """
    if not clusters or not found.high - found.low < _NO_WIDTH:  # also where there are no bounds, which are NaN
        return found
    rest = 1.0 - wilson(clusters, clusters, level).low
    return Interval(found.estimate, found.low - rest * (found.low - lowest), found.high + rest * (highest - found.high))


def cluster_bootstrap_table(values: ArrayLike, clusters: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0,
                            level: float = LEVEL, scale: tuple[float, float] | Sequence[tuple[float, float]] | None = None
                            ) -> list[Interval]:
    """`cluster_bootstrap` of several measures of the same tasks at once: every resample draws the same clusters for all of them.

    Args:
        values: shape (T, M), NaN where a measure is not defined for a task: it then counts in neither sum nor size.
        clusters: shape (T,).
        scale: between which values all measures lie, or one pair for each, for `open_ended`; None: bounds as they are drawn.

    Returns:
        M intervals; bounds are NaN where a measure has values in fewer than two clusters.
    """
    table = np.asarray(values, dtype=float)
    labels = np.asarray(clusters)
    if table.ndim != 2 or labels.shape != table.shape[:1]:
        raise ValueError(f"values must be (T, M) and clusters (T,), got {table.shape} and {labels.shape}")
    known = ~np.isnan(table)
    codes = np.unique(labels, return_inverse=True)[1]
    both = np.hstack([np.where(known, table, 0.0), known])
    k, m = int(codes.max(initial=-1)) + 1, table.shape[1]
    per_cluster = np.stack([np.bincount(codes, weights=column, minlength=k) for column in both.T], axis=1) if m else both
    totals = _resampled(per_cluster, resamples, seed) if k > 1 and m else np.full((1, 2 * m), nan)
    ends = [scale] * m if scale is None or isinstance(scale, tuple) else list(scale)
    found = []
    for j, end in zip(range(m), ends, strict=True):
        size = per_cluster[:, m + j]
        estimate = float(per_cluster[:, j].sum() / size.sum()) if size.any() else nan
        drawn = totals[:, m + j] > 0
        if np.count_nonzero(size) < 2 or not drawn.any():
            found.append(Interval(estimate, nan, nan))
            continue
        low, high = np.quantile(totals[drawn, j] / totals[drawn, m + j], [0.5 - level / 2, 0.5 + level / 2])
        drawn_here = Interval(estimate, float(low), float(high))
        found.append(open_ended(drawn_here, np.count_nonzero(size), *end, level) if end else drawn_here)
    return found


def _per_cluster(values: NDArray[np.float64], clusters: NDArray[np.generic]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and size of every cluster, shape (K,) each."""
    if values.shape != clusters.shape or values.ndim != 1:
        raise ValueError(f"values and clusters must be flat and of one length, got {values.shape} and {clusters.shape}")
    codes = np.unique(clusters, return_inverse=True)[1]
    return np.bincount(codes, weights=values), np.bincount(codes).astype(float)


def _bootstrap_ratio(sums: NDArray[np.float64], sizes: NDArray[np.float64], resamples: int, seed: int,
                     level: float) -> Interval:
    k = len(sums)
    if k == 0:
        return Interval(nan, nan, nan)
    estimate = float(sums.sum() / sizes.sum())
    if k == 1:
        return Interval(estimate, nan, nan)
    totals = _resampled(np.stack([sums, sizes], axis=1), resamples, seed)
    low, high = np.quantile(totals[:, 0] / totals[:, 1], [0.5 - level / 2, 0.5 + level / 2])
    return Interval(estimate, float(low), float(high))


def _resampled(per_cluster: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Sums over K clusters drawn with replacement, shape (B, M), of `per_cluster`, shape (K, M).

    Clusters with equal rows are one *kind*: drawing K clusters draws kinds multinomially, so with few kinds a resample costs as
    many numbers as there are kinds, and its distribution is the same. With many kinds, places are drawn one by one and counted,
    which is several times as fast as a multinomial of many parts. Either way the sums are one product of counts and rows.
    """
    k = len(per_cluster)
    kinds, counts = np.unique(np.round(per_cluster, 12), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    if len(kinds) * _KINDS_PER_CLUSTER <= k or k <= _FEW:
        rows = max(1, _CHUNK // len(kinds))
        return np.concatenate([rng.multinomial(k, counts / k, size=min(rows, resamples - start)) @ kinds
                               for start in range(0, resamples, rows)])
    rows, rest = max(1, _DRAWN // k), resamples
    # sorted rows: the order in which clusters come does not change the draw
    ordered = np.repeat(kinds, counts, axis=0)
    parts = []
    while rest > 0:
        now = min(rows, rest)
        places = rng.integers(0, k, size=(now, k)) + np.arange(now)[:, None] * k
        parts.append(np.bincount(places.ravel(), minlength=now * k).reshape(now, k).astype(float) @ ordered)
        rest -= now
    return np.concatenate(parts)
