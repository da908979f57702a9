"""What K rollouts of one task are worth: Pass@K, Best@K, majority@K and the random choice, as exact expectations.

Promises: each function gives, for every K, the mean over all subsets of K of the n rollouts, in closed form: nothing is sampled, so
nothing is noise but the rollouts themselves. K > n is NaN, never an extrapolation. With `always` one rollout is in every subset
(the paper's protocol: the first rollout is greedy, the others are sampled) and the mean is over the choice of the other K - 1.
Does not cover: many tasks, intervals (`scaling`) and what counts as one answer (`answers`).

Notation: n rollouts, c of them correct, K of them chosen; C(a, b) is the binomial coefficient, 0 for b > a.
Sources: Pass@K: Chen et al. 2021, arXiv 2107.03374, equation 1. Best@K: the same counting argument over ranks; Best-of-n as in
Cobbe et al. 2021, arXiv 2110.14168. Majority: Wang et al. 2022, arXiv 2203.11171 (self-consistency). Protocol: arXiv 2506.04405.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from env.errors import UserError

Values = NDArray[np.float64]
_MOST = 1_000
"""Rollouts of a task beyond which the numbers of their subsets leave a float's range."""
SILENT = -1
"""Answer code of a rollout that submitted nothing: it has no vote."""


def expected_pass(correct: ArrayLike, ks: Sequence[int], always: int | None = None) -> Values:
    """The chance that one of K rollouts is correct: 1 - C(n - c, K) / C(n, K).

    Args:
        correct: shape (n,), 0 or 1.
        ks: every K >= 1.
        always: position of the rollout that is in every subset.

    Returns:
        Shape (len(ks),), NaN where K > n.
    """
    good, _, sizes, fixed = _prepare(correct, ks, always)
    rest = good[:-1] if fixed else good
    fails = _all_below(int((rest == 0).sum()), len(rest), sizes)
    return 1.0 - fails * (1.0 - good[-1]) if fixed else 1.0 - fails


def expected_random(correct: ArrayLike, ks: Sequence[int], always: int | None = None) -> Values:
    """The chance that a rollout drawn evenly from the K is correct: what any way of choosing has to beat. Same for every K unless
    one rollout is always there."""
    good, _, sizes, fixed = _prepare(correct, ks, always)
    rest = good[:-1] if fixed else good
    mean = float(rest.mean()) if len(rest) else 0.0
    value = (good[-1] + sizes * mean) / (sizes + 1) if fixed else np.full(len(sizes), mean)
    return np.where(np.isnan(_all_below(0, len(rest), sizes)), np.nan, value)


def expected_best(correct: ArrayLike, scores: ArrayLike, ks: Sequence[int], always: int | None = None) -> Values:
    """The chance that the highest-scored of K rollouts is correct; rollouts with equal scores are chosen evenly.

    The highest score of a subset is that of tie group g exactly when all K lie at or below g and not all below it:
    (C(L + m, K) - C(L, K)) / C(n, K) with L rollouts below and m in the group; by symmetry the chosen one is any of the m.

    Args:
        scores: shape (n,), finite; only their order counts.
    """
    good, order, sizes, fixed = _prepare(correct, ks, always)
    ranks = np.asarray(scores, dtype=float)[order]
    if not np.isfinite(ranks).all() or ranks.shape != good.shape:
        raise ValueError("scores must be finite, one for every rollout")
    rest, marks = (good[:-1], ranks[:-1]) if fixed else (good, ranks)
    values, group = np.unique(marks, return_inverse=True)
    m = np.bincount(group, minlength=len(values))
    mean = np.bincount(group, weights=rest, minlength=len(values)) / np.maximum(m, 1)
    below = np.cumsum(m) - m
    at_top = [_all_below(int(low + here), len(rest), sizes) - _all_below(int(low), len(rest), sizes)
              for low, here in zip(below, m, strict=True)]
    chosen = np.asarray(at_top).reshape(len(values), len(sizes))
    if not fixed:
        return mean @ chosen if len(values) else np.full(len(sizes), np.nan)
    above = values > ranks[-1]
    tied = np.flatnonzero(values == ranks[-1])
    here = (int(m[tied[0]]), float(mean[tied[0]])) if len(tied) else (0, 0.0)
    low = int(m[values < ranks[-1]].sum())
    return mean[above] @ chosen[above] + _tied_with_fixed(float(good[-1]), *here, low, len(rest), sizes)


def expected_majority(correct: ArrayLike, answers: ArrayLike, ks: Sequence[int], always: int | None = None) -> Values:
    """The chance that the most frequent answer of K rollouts is correct; answers with equally many votes are chosen evenly.

    A rollout that submitted nothing has no vote; where nobody votes, nothing is answered, which is wrong. Where rollouts of one
    answer were graded differently, the answer is as right as their mean. Exact: the number of subsets in which an answer has t
    votes, s others have as many and the rest fewer is a coefficient of a product of small polynomials.

    Args:
        answers: shape (n,), a code per rollout, equal for equal answers, `SILENT` for none.
    """
    good, order, sizes, fixed = _prepare(correct, ks, always)
    codes = np.asarray(answers)[order]
    rest = len(good) - fixed
    names, group = np.unique(codes, return_inverse=True)
    counts = Counter(group[:rest].tolist())
    classes = [i for i, name in enumerate(names) if name != SILENT]
    kinds = tuple((counts[i], int(bool(fixed) and int(group[-1]) == i)) for i in classes)
    wins = _winning(tuple(sorted(kinds)), rest - sum(kind[0] for kind in kinds))
    mean = np.bincount(group, weights=good) / np.bincount(group)
    share = sum((mean[i] * wins[kind] for i, kind in zip(classes, kinds, strict=True)), start=np.zeros(rest + 1))
    inside = (sizes >= 0) & (sizes <= rest)
    return np.where(inside, np.asarray(share)[np.where(inside, sizes, 0)], np.nan)


def _prepare(correct: ArrayLike, ks: Sequence[int], always: int | None) -> tuple[Values, NDArray[np.intp], NDArray[np.intp], bool]:
    """Outcomes with the fixed rollout last, their order, how many others are drawn for every K, and whether one is fixed."""
    good = np.asarray(correct, dtype=float)
    if good.ndim != 1 or not len(good) or not np.isin(good, (0.0, 1.0)).all():
        raise ValueError("correct must be flat, not empty, and 0 or 1")
    if any(k < 1 for k in ks):
        raise ValueError(f"K must be at least 1, got {list(ks)}")
    order = np.arange(len(good))
    if always is not None:
        order = np.append(np.delete(order, always), order[always])
    return good[order], order, np.asarray(ks, dtype=np.intp) - (always is not None), always is not None


def _all_below(a: int, n: int, sizes: NDArray[np.intp]) -> Values:
    """C(a, k) / C(n, k) for every k of `sizes`: the chance that k of n all come from a certain a. NaN where k > n."""
    table = _below(a, n)
    inside = (sizes >= 0) & (sizes <= n)
    return np.where(inside, table[np.where(inside, sizes, 0)], np.nan)


@lru_cache(maxsize=100_000)
def _below(a: int, n: int) -> Values:
    """C(a, k) / C(n, k), k = 0 ... n, as a running product of factors at most 1: nothing overflows or cancels."""
    i = np.arange(n, dtype=float)
    return np.concatenate([[1.0], np.cumprod(np.maximum(a - i, 0.0) / (n - i))])


def _tied_with_fixed(own: float, m: int, mean: float, below: int, n: int, sizes: NDArray[np.intp]) -> Values:
    """The part in which the fixed rollout shares the top with j of the m others that score as it does."""
    parts = []
    for k in sizes.tolist():
        if not 0 <= k <= n:
            parts.append(np.nan)
            continue
        parts.append(sum(comb(m, j) * comb(below, k - j) / comb(n, k) * (own + j * mean) / (1 + j) for j in range(min(m, k) + 1)))
    return np.asarray(parts)


@lru_cache(maxsize=20_000)
def _winning(kinds: tuple[tuple[int, int], ...], silent: int) -> dict[tuple[int, int], Values]:
    """For each kind of answer (m rollouts to draw from, 1 if the fixed rollout gave it): the chance that an answer of that kind is
    chosen, by the number of rollouts drawn, 0 ... n. Depends on the counts alone, which few tasks do not share."""
    n = silent + sum(m for m, _ in kinds)
    if n > _MOST:
        raise UserError(f"majority@K cannot be counted for more than {_MOST:,} rollouts of one task: evaluate runs of fewer")
    drawn = np.asarray([comb(n, k) for k in range(n + 1)], dtype=float)
    quiet = np.zeros((n + 1, 1))
    quiet[: silent + 1, 0] = [comb(silent, u) for u in range(silent + 1)]
    found: dict[tuple[int, int], Values] = {}
    for place, (m, given) in enumerate(kinds):
        if (m, given) in found:
            continue
        others = kinds[:place] + kinds[place + 1 :]
        total = np.zeros(n + 1)
        for own in range(m + 1):
            votes = own + given
            if votes == 0:
                continue
            ways = quiet
            for other in others:
                ways = _with_class(ways, *other, votes)
            shared = ways @ (1.0 / (1.0 + np.arange(ways.shape[1])))
            total[own:] += comb(m, own) * shared[: n + 1 - own]
        found[(m, given)] = total / drawn
    return found


def _with_class(ways: Values, m: int, given: int, votes: int) -> Values:
    """One more answer beside: fewer votes than `votes`, or as many, which adds a tie (second axis: how many ties)."""
    grown = np.zeros((ways.shape[0], ways.shape[1] + 1))
    for own in range(min(m, votes - given) + 1):
        tie = own + given == votes
        grown[own:, tie : ways.shape[1] + tie] += comb(m, own) * ways[: ways.shape[0] - own]
    return grown
