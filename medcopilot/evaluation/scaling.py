"""Inference-time scaling: what K rollouts per task are worth, for K = 1 ... n, over all tasks of a run.

Promises: every number is a mean over tasks of an exact expectation (`selection`), with a 95 % cluster-bootstrap interval; all
measures and all K are resampled together, so differences such as the regret have intervals of their own. Tasks with fewer than K
graded rollouts are not in the point of K, and each point says how many that were. Rollouts of different temperatures are only
mixed in the way the paper does: the greedy one always in, the others drawn (`greedy first`); those of one temperature are
`exchangeable`.
Does not cover: the estimators for one task (`selection`), what is one answer (`answers`), where scores come from
(`medcopilot.verifier.scores`), pictures (`medcopilot.report.scaling`).

Notation: T tasks, n rollouts of a task, K of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from env.errors import UserError
from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.intervals import RESAMPLES, Interval, cluster_bootstrap_table
from medcopilot.evaluation.selection import SILENT, expected_best, expected_majority, expected_pass, expected_random

Scheme = Literal["greedy first", "exchangeable"]
MEASURES = ("pass_at_k", "best_at_k", "majority_at_k", "random", "regret", "paper_pass_at_k")
DENSE = 16
"""Every K up to here (the paper's range), then powers of two."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Record):
    """A mean over tasks, 95 % cluster bootstrap; bounds None with fewer than two clusters."""

    value: float
    ci_low: float | None
    ci_high: float | None


class Point(_Record):
    """One K."""

    k: int
    tasks: int
    """Tasks with at least K graded rollouts."""
    too_few: int
    """Tasks that have fewer and are left out of this point."""
    pass_at_k: Estimate
    best_at_k: Estimate | None
    """None without a verifier's scores."""
    majority_at_k: Estimate
    random: Estimate
    """A rollout drawn evenly from the K: the floor of any way of choosing."""
    regret: Estimate | None
    """Pass@K minus Best@K: what the verifier's choice leaves on the table."""
    paper_pass_at_k: Estimate | None
    """Pass@K by the paper's grader, over tasks whose every rollout it scored."""


class Curve(_Record):
    """One way of drawing K rollouts."""

    scheme: Scheme
    temperature: float
    """Of the rollouts that are drawn."""
    tasks: int
    rollouts_min: int
    rollouts_max: int
    no_greedy: int
    """Scheme `greedy first`: tasks left out because their greedy rollout was not graded."""
    points: list[Point]


class Scaling(_Record):
    """All curves of a run."""

    overall: list[Curve]
    slices: dict[str, list[Curve]]
    datasets: dict[str, list[Curve]]
    scored: bool
    """Whether a verifier's scores were given."""
    resamples: int
    seed: int


class Gain(_Record):
    """Run b minus run a at one K, over the tasks that have K graded rollouts in both."""

    scheme: Scheme
    temperature: float
    """Of the rollouts that are drawn, in both runs."""
    k: int
    tasks: int
    pass_at_k: Estimate
    best_at_k: Estimate | None
    majority_at_k: Estimate


class TaskValues(NamedTuple):
    """Measures of every task."""

    tasks: NDArray[np.str_]
    clusters: NDArray[np.int64]
    rollouts: NDArray[np.int64]
    table: NDArray[np.float64]
    """Shape (T, len(MEASURES), len(ks)); NaN where K > n, and for what cannot be known."""


class _Pool(NamedTuple):
    scheme: Scheme
    temperature: float
    part: Columns
    no_greedy: int


def scaling(cols: Columns, scores: Mapping[str, float] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
            ) -> Scaling | None:
    """All curves of a run; None where no task was played more than once.

    Args:
        cols: the whole run, all temperatures together.
        scores: trace id -> a verifier's score of that episode.

    Raises:
        UserError: scores are given, but not for every graded episode.
    """
    check_scores(cols, scores)

    def curves(part: Columns) -> list[Curve]:
        return [_curve(pool, scores, resamples, seed) for pool in _pools(part)]

    overall = curves(cols)
    if not overall:
        return None

    def parts(key: NDArray[np.str_]) -> dict[str, list[Curve]]:
        found = {str(name): curves(cols.where(key == name)) for name in np.unique(key)}
        return {name: item for name, item in found.items() if item}

    return Scaling(overall=overall, slices=parts(cols.slice), datasets=parts(cols.dataset), scored=scores is not None,
                   resamples=resamples, seed=seed)


def scaling_gain(a: Columns, b: Columns, scores_a: Mapping[str, float] | None = None,
                 scores_b: Mapping[str, float] | None = None, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Gain]:
    """Paired differences of two runs' curves, for every K that both have; tasks are paired, clusters resampled. Curves of another
    temperature are no pair: what they differ by is the setting, not the policy."""
    check_scores(a, scores_a)
    check_scores(b, scores_b)
    first, second = ({(pool.scheme, pool.temperature): pool for pool in _pools(run)} for run in (a, b))
    gains: list[Gain] = []
    for way in (way for way in first if way in second):
        scheme, temperature = way
        ks = sorted(set(_ks(first[way].part)) & set(_ks(second[way].part)))
        one, two = task_values(first[way].part, ks, scores_a, scheme), task_values(second[way].part, ks, scores_b, scheme)
        _, at_a, at_b = np.intersect1d(one.tasks, two.tasks, assume_unique=True, return_indices=True)
        table = two.table[at_b] - one.table[at_a]
        found = _intervals(table, one.clusters[at_a], resamples, seed, (-1.0, 1.0))
        gains += [Gain(scheme=scheme, temperature=temperature, k=k, tasks=int((~np.isnan(table[:, 0, i])).sum()),
                       **{name: estimate(found[name][i]) for name in MEASURES[:3]})
                  for i, k in enumerate(ks) if estimate(found["pass_at_k"][i])]
    return gains


def check_scores(cols: Columns, scores: Mapping[str, float] | None) -> None:
    """Best@K over the scored part of a task's rollouts would be another number.

    Raises:
        UserError: a graded episode has no score.
    """
    if scores is not None:
        lacking = [name for name in cols.id[cols.graded].tolist() if name not in scores]
        if lacking:
            raise UserError(f"the verifier's scores lack {len(lacking)} of {int(cols.graded.sum())} graded episodes, e.g. "
                            f"{lacking[0]}: score the whole run, or leave --verifier out")


def task_values(part: Columns, ks: Sequence[int], scores: Mapping[str, float] | None, scheme: Scheme) -> TaskValues:
    """Every measure of every task of graded episodes."""
    order = np.lexsort((part.sample, part.temperature, part.task))
    tasks, starts = np.unique(part.task[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    table = np.full((len(tasks), len(MEASURES), len(ks)), np.nan)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        table[row] = _measures(part, order[start:end], ks, scores, 0 if scheme == "greedy first" else None)
    return TaskValues(tasks, part.cluster[order][starts], ends - starts, table)


def _measures(part: Columns, at: NDArray[np.intp], ks: Sequence[int], scores: Mapping[str, float] | None, always: int | None
              ) -> NDArray[np.float64]:
    """Rows `MEASURES` of one task; its rollouts lie at `at`, the greedy one first."""
    good = part.strict[at] == 1.0
    answers, codes = np.unique(part.answer[at], return_inverse=True)
    passed = expected_pass(good, ks, always)
    best = unknown = np.full(len(ks), np.nan)
    if scores is not None:
        best = expected_best(good, [scores[str(name)] for name in part.id[at]], ks, always)
    paper = unknown if np.isnan(part.paper[at]).any() else expected_pass(part.paper[at] == 1.0, ks, always)
    majority = expected_majority(good, np.where((answers == "")[codes], SILENT, codes), ks, always)
    return np.stack([passed, best, majority, expected_random(good, ks, always), passed - best, paper])


def _pools(cols: Columns) -> Iterator[_Pool]:
    """The ways in which this run's rollouts may be drawn; none where every task was played once."""
    graded = cols.where(cols.graded)
    temperatures = np.unique(graded.temperature)
    greedy = graded.temperature == 0.0
    if greedy.any() and np.unique(graded.task[greedy], return_counts=True)[1].max() == 1:
        for value in temperatures[temperatures > 0]:
            part = graded.where(greedy | (graded.temperature == value))
            begun = np.isin(part.task, part.task[part.temperature == 0.0])
            kept = part.where(begun)
            if _most(kept) > 1:
                yield _Pool("greedy first", float(value), kept, len(np.unique(part.task[~begun])))
    for value in temperatures:
        part = graded.where(graded.temperature == value)
        if _most(part) > 1:
            yield _Pool("exchangeable", float(value), part, 0)


def _most(part: Columns) -> int:
    """Rollouts of the task that has most."""
    return int(np.unique(part.task, return_counts=True)[1].max()) if len(part) else 0


def _ks(part: Columns) -> list[int]:
    most = _most(part)
    return [*range(1, min(most, DENSE) + 1), *(2**power for power in range(5, most.bit_length()))]


def _curve(pool: _Pool, scores: Mapping[str, float] | None, resamples: int, seed: int) -> Curve:
    ks = _ks(pool.part)
    values = task_values(pool.part, ks, scores, pool.scheme)
    found = _intervals(values.table, values.clusters, resamples, seed)
    points = []
    for i, k in enumerate(ks):
        tasks = int((values.rollouts >= k).sum())
        points.append(Point(k=k, tasks=tasks, too_few=len(values.tasks) - tasks,
                            **{name: estimate(found[name][i]) for name in MEASURES}))
    return Curve(scheme=pool.scheme, temperature=pool.temperature, tasks=len(values.tasks), no_greedy=pool.no_greedy,
                 rollouts_min=int(values.rollouts.min()), rollouts_max=int(values.rollouts.max()), points=points)


def _intervals(table: NDArray[np.float64], clusters: NDArray[np.int64], resamples: int, seed: int,
               scale: tuple[float, float] = (0.0, 1.0)) -> dict[str, list[Interval]]:
    """One interval per measure and K, from the same resamples."""
    width = table.shape[2]
    flat = cluster_bootstrap_table(table.reshape(len(table), len(MEASURES) * width), clusters, resamples=resamples, seed=seed,
                                   scale=scale)
    return {name: flat[i * width : (i + 1) * width] for i, name in enumerate(MEASURES)}


def estimate(interval: Interval) -> Estimate | None:
    """As a record; None where there is no value."""
    if isnan(interval.estimate):
        return None
    low, high = (None if isnan(bound) else bound for bound in interval[1:])
    return Estimate(value=interval.estimate, ci_low=low, ci_high=high)
