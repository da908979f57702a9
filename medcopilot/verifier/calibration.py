"""How good a verifier's scores are: ranking and calibration, on plain arrays.

Promises: ties count half in every ranking; an AUROC of one class is refused with one sentence; intervals draw whole tasks, as
episodes of one task are not independent; everything is deterministic.

Notation: n episodes, s scores in [0, 1], y outcomes in {0, 1}, B resamples.
"""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medcopilot.evaluation.intervals import LEVEL, RESAMPLES, Interval

BINS = 10


class Bin(NamedTuple):
    """One row of the reliability table: scores in [low, high), the last bin with its upper end."""

    low: float
    high: float
    count: int
    score: float
    """Mean score; NaN in an empty bin."""
    correct: float
    """Fraction that was correct; NaN in an empty bin."""


class Ranking(NamedTuple):
    """Pairs of a correct and a wrong episode of one task, and the share that is ranked rightly."""

    share: float
    """NaN without a pair."""
    pairs: int


def auroc(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """The probability that a correct episode scores above a wrong one, ties counting half (Mann and Whitney 1947; Hanley and
    McNeil 1982, Radiology 143:29).

    Raises:
        ValueError: the outcomes are all the same.
    """
    s, y = _pair(scores, outcomes)
    _both_classes(y)
    groups = np.unique(s, return_inverse=True)[1]
    value, _ = _weighted(np.ones((1, len(s))), groups, y)
    return float(value[0])


def auroc_interval(scores: ArrayLike, outcomes: ArrayLike, tasks: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0,
                   level: float = LEVEL) -> Interval:
    """AUROC with the percentile interval of a bootstrap over tasks (Davison and Hinkley 1997, section 3.8).

    Resamples that happen to hold one class only are left out. With fewer than two tasks the bounds are NaN.

    Args:
        tasks: shape (n,), a label per episode.

    Raises:
        ValueError: the outcomes are all the same, or lengths differ.
    """
    s, y = _pair(scores, outcomes)
    labels = np.unique(np.asarray(tasks), return_inverse=True)[1]
    if labels.shape != s.shape:
        raise ValueError(f"scores and tasks must be flat and of one length, got {s.shape} and {labels.shape}")
    estimate = auroc(s, y)
    count = int(labels.max()) + 1
    if count < 2:
        return Interval(estimate, nan, nan)
    groups = np.unique(s, return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    chunk = max(1, 2_000_000 // len(s))
    values = []
    for start in range(0, resamples, chunk):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(chunk, resamples - start))
        value, defined = _weighted(drawn[:, labels].astype(float), groups, y)
        values.append(value[defined])
    low, high = np.quantile(np.concatenate(values), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(estimate, float(low), float(high))


def within_tasks(scores: ArrayLike, outcomes: ArrayLike, tasks: ArrayLike) -> Ranking:
    """How often, of two episodes of one task, the correct one scores higher (ties count half): what choosing among several
    rollouts needs. AUROC over all tasks also rewards knowing which tasks are easy."""
    s, y = _pair(scores, outcomes)
    labels = np.asarray(tasks)
    right, pairs = 0.0, 0
    for task in np.unique(labels):
        here = labels == task
        good, bad = s[here & (y == 1)], s[here & (y == 0)]
        difference = good[:, None] - bad[None, :]
        right += float((difference > 0).sum() + 0.5 * (difference == 0).sum())
        pairs += difference.size
    return Ranking(right / pairs if pairs else nan, pairs)


def brier(scores: ArrayLike, outcomes: ArrayLike) -> float:
    """Mean squared difference of score and outcome (Brier 1950, Mon. Weather Rev. 78:1); 0.25 for a constant one half."""
    s, y = _pair(scores, outcomes)
    return float(np.mean((s - y) ** 2))


def reliability(scores: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Scores against outcomes in bins of equal width."""
    s, y = _pair(scores, outcomes)
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, s, side="right") - 1, 0, bins - 1)
    table = []
    for b in range(bins):
        inside = place == b
        n = int(inside.sum())
        table.append(Bin(float(edges[b]), float(edges[b + 1]), n, float(s[inside].mean()) if n else nan,
                         float(y[inside].mean()) if n else nan))
    return table


def expected_calibration_error(scores: ArrayLike, outcomes: ArrayLike, bins: int = BINS) -> float:
    """Mean over episodes of |mean score - fraction correct| of their bin (Naeini et al. 2015, AAAI 29; Guo et al. 2017)."""
    table = reliability(scores, outcomes, bins)
    n = sum(row.count for row in table)
    return sum(row.count * abs(row.score - row.correct) for row in table if row.count) / n


def _pair(scores: ArrayLike, outcomes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    s, y = np.asarray(scores, dtype=float), np.asarray(outcomes, dtype=float)
    if s.shape != y.shape or s.ndim != 1 or not len(s):
        raise ValueError(f"scores and outcomes must be flat, of one length and not empty, got {s.shape} and {y.shape}")
    if not (np.all((s >= 0) & (s <= 1)) and np.all((y == 0) | (y == 1))):
        raise ValueError("scores must lie in [0, 1] and outcomes must be 0 or 1")
    return s, y


def _both_classes(y: NDArray[np.float64]) -> None:
    if y.min() == y.max():
        raise ValueError(f"AUROC compares correct episodes with wrong ones, but all {len(y)} are {'correct' if y[0] else 'wrong'}")


def _weighted(weights: NDArray[np.float64], groups: NDArray[np.intp], y: NDArray[np.float64]
              ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """AUROC of every row of `weights` (B, n), and whether it is defined. `groups`: rank of each score, ties alike."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    good = np.add.reduceat((weights * y)[:, order], starts, axis=1)  # weight of correct episodes at every distinct score
    bad = np.add.reduceat((weights * (1 - y))[:, order], starts, axis=1)
    below = np.cumsum(bad, axis=1) - bad
    pairs = good.sum(axis=1) * bad.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (good * (below + 0.5 * bad)).sum(axis=1) / pairs, pairs > 0
