"""Two runs over the same tasks: is one better, and by how much?

Promises: only tasks that both runs graded are compared, and how many were left out is said; a task that was sampled several
times counts once, by its mean; the interval resamples clusters that both runs share.
Does not cover: several comparisons at once (no correction is made: say how many were looked at).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medcopilot.evaluation.columns import Columns, columns
from medcopilot.evaluation.intervals import LEVEL, RESAMPLES, mcnemar_exact, open_ended, paired_cluster_bootstrap, sign_flip
from medcopilot.evaluation.suites import SUITES
from medcopilot.trace import Trace


class Difference(BaseModel):
    """b minus a, strict success, over shared tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tasks: int
    clusters: int
    left_out: int
    """Tasks that only one of the runs has graded."""
    a: float | None
    b: float | None
    difference: float | None
    ci_low: float | None
    """95 %, paired cluster bootstrap; None with fewer than two clusters."""
    ci_high: float | None
    separated: bool
    """The interval excludes 0 and `cluster_p` is below 0.05."""
    cluster_p: float | None
    """Of the coin-flip test on clusters, `intervals.sign_flip`: percentile intervals of few clusters are too narrow."""
    only_a: int
    """Tasks whose first sample only a solved (and `only_b`): the pairs of McNemar's test."""
    only_b: int
    mcnemar_p: float | None


class Comparison(BaseModel):
    """Difference over everything and per part."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    overall: Difference
    datasets: dict[str, Difference]
    slices: dict[str, Difference]
    suites: dict[str, Difference]
    """In and out of distribution, structured and open-ended, where both runs have such a dataset."""


def compare(a: Iterable[Trace] | Columns, b: Iterable[Trace] | Columns, *, resamples: int = RESAMPLES,
            seed: int = 0) -> Comparison:
    """Paired comparison of run b with run a (positive: b is better)."""
    first, second = (run if isinstance(run, Columns) else columns(run) for run in (a, b))

    def part(field: str) -> dict[str, Difference]:
        one, two = getattr(first, field), getattr(second, field)
        return {str(name): difference(first.where(one == name), second.where(two == name), resamples=resamples, seed=seed)
                for name in np.union1d(one, two)}

    suites = {name: difference(first.where(np.isin(first.dataset, members)), second.where(np.isin(second.dataset, members)),
                               resamples=resamples, seed=seed) for name, members in SUITES.items()}
    return Comparison(overall=difference(first, second, resamples=resamples, seed=seed), datasets=part("dataset"),
                      slices=part("slice"), suites={name: item for name, item in suites.items() if item.tasks})


def difference(a: Columns, b: Columns, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """Paired difference over the tasks that both have graded."""
    tasks_a, mean_a, first_a, clusters = _per_task(a)
    tasks_b, mean_b, first_b, _ = _per_task(b)
    shared, at_a, at_b = np.intersect1d(tasks_a, tasks_b, assume_unique=True, return_indices=True)
    left_out = len(tasks_a) + len(tasks_b) - 2 * len(shared)
    if not len(shared):
        return Difference(tasks=0, clusters=0, left_out=left_out, a=None, b=None, difference=None, ci_low=None, ci_high=None,
                          separated=False, cluster_p=None, only_a=0, only_b=0, mcnemar_p=None)
    labels = clusters[at_a]
    drawn = paired_cluster_bootstrap(mean_a[at_a], mean_b[at_b], labels, resamples=resamples, seed=seed)
    interval = open_ended(drawn, len(np.unique(labels)), -1.0, 1.0)
    flipped = sign_flip(mean_b[at_b] - mean_a[at_a], labels, resamples=resamples, seed=seed)
    test = mcnemar_exact(first_a[at_a], first_b[at_b])
    low, high = (None if isnan(bound) else bound for bound in interval[1:])
    return Difference(tasks=len(shared), clusters=len(np.unique(labels)), left_out=left_out, a=float(mean_a[at_a].mean()),
                      b=float(mean_b[at_b].mean()), difference=interval.estimate, ci_low=low, ci_high=high,
                      separated=interval.excludes(0.0) and flipped < 1.0 - LEVEL, cluster_p=flipped, only_a=test.only_a,
                      only_b=test.only_b, mcnemar_p=test.p_value)


def _per_task(cols: Columns) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Task ids (sorted), mean success, success of the lowest graded sample, cluster: shape (T,) each."""
    part = cols.where(cols.graded)
    success = part.strict == 1.0
    order = np.lexsort((part.sample, part.task))
    tasks, first, codes = np.unique(part.task[order], return_index=True, return_inverse=True)
    means = np.bincount(codes, weights=success[order]) / np.bincount(codes)
    return tasks, means, success[order][first], part.cluster[order][first]
