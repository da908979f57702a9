"""From traces to the numbers that a report prints: one `Summary`, which is plain JSON.

Promises: rates are fractions in [0, 1] over graded episodes; ungraded ones (our machinery failed) are counted by
label and left out. A strict rate is over all episodes that the strict grader scored, a paper rate and the inflation over those
that both graders scored; `paper.n` and `paper_ungraded` say where that is fewer. Answerable tasks and abstention stand apart
from the overall rate.
Does not cover: several rollouts of a task (`scaling`), two runs against each other (`compare`) and how any of it
looks (`medcopilot.report`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medcopilot.evaluation.columns import ACTIONS, REFUSALS, Columns, columns
from medcopilot.evaluation.errors import paper_counts
from medcopilot.evaluation.intervals import RESAMPLES, cluster_bootstrap, wilson
from medcopilot.evaluation.loop_cost import LoopCost, loop_cost
from medcopilot.trace import Trace


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Record):
    """A share of successes with both intervals (95 %)."""

    value: float | None
    """None when nothing was graded."""
    n: int
    successes: int
    wilson_low: float | None
    wilson_high: float | None
    ci_low: float | None
    """Cluster bootstrap. Where that has no width to offer (one cluster, or all alike): Wilson with n = clusters."""
    ci_high: float | None
    clusters: int


class Abstention(_Record):
    """How well the agent knows what cannot be answered. Graded episodes only."""

    impossible: int
    abstained: int
    correct: int
    precision: Rate
    """Of the episodes that abstained, how many were impossible."""
    recall: Rate
    """Of the impossible episodes, how many abstained."""


class Group(_Record):
    """One row of a table."""

    traces: int
    tasks: int
    ungraded: dict[str, int]
    """Label -> episodes without a strict score."""
    paper_ungraded: dict[str, int] = {}
    """The paper's label -> episodes with a strict score and none of the paper's grader: no paper failures."""
    strict: Rate
    paper: Rate
    """The paper's grader over the episodes that both graders scored."""
    inflation: float | None
    """Paper rate minus strict rate over the episodes that both graders scored."""
    floor: float | None
    """Strict rate if every ungraded episode had failed."""
    mean_score: float | None
    """Mean strict score; differs from the rate where scores are partial."""
    answerable: Rate
    """Strict, over tasks that have an answer."""
    abstention: Abstention | None
    """None where no task was impossible and nobody abstained."""


class Quantity(_Record):
    """One measure per episode."""

    mean: float | None
    p50: float | None
    p95: float | None
    n: int


class TimeSplit(_Record):
    """Where rollout time went: seconds added up over episodes, which overlap in time."""

    generation: float
    environment: float
    grading: float
    rest: float
    """Episode time that is none of the others: parsing, rendering, waiting for the event loop."""
    wall: float | None
    """From the first start to the last end."""
    episodes_per_second: float | None


class Behaviour(_Record):
    """What the agent did."""

    stops: dict[str, int]
    labels: dict[str, int]
    """Strict labels, ungraded ones included."""
    errors: dict[str, int]
    """Classes of failed and of masked episodes (`medcopilot.evaluation.errors`)."""
    paper_errors: dict[str, int]
    """The same failures in the paper's five classes, masked episodes left out."""
    actions: dict[str, float]
    """Share of each among valid actions."""
    action_count: int
    refused: dict[str, int]
    turns: Quantity
    seconds: Quantity
    completion_tokens: Quantity
    context_tokens: Quantity
    time: TimeSplit
    loops: LoopCost | None
    """None where nothing looped and no guard watched."""


class Summary(_Record):
    """A run in numbers."""

    overall: Group
    macro_strict: float | None
    """Mean of the datasets' strict rates, each dataset counting once (the paper's average)."""
    datasets: dict[str, Group]
    slices: dict[str, Group]
    dataset_slices: dict[str, dict[str, Group]]
    categories: dict[str, dict[str, Group]]
    temperatures: dict[str, Group]
    """By sampling temperature, as in `0` or `0.6`: a run whose first rollout is greedy mixes two."""
    behaviour: Behaviour
    dataset_behaviour: dict[str, Behaviour]
    resamples: int
    seed: int


def summarise(traces: Iterable[Trace] | Columns, *, resamples: int = RESAMPLES, seed: int = 0) -> Summary:
    """All the numbers of one run. `seed` fixes the bootstrap."""
    cols = traces if isinstance(traces, Columns) else columns(traces)

    def groups(part: Columns, key: NDArray[np.str_]) -> dict[str, Group]:
        return {name: group(chosen, resamples=resamples, seed=seed) for name, chosen in _split(part, key)}

    per_dataset = dict(_split(cols, cols.dataset))
    datasets = groups(cols, cols.dataset)
    rates = [item.strict.value for item in datasets.values() if item.strict.value is not None]
    return Summary(overall=group(cols, resamples=resamples, seed=seed), macro_strict=_mean(np.asarray(rates)), datasets=datasets,
                   slices=groups(cols, cols.slice),
                   dataset_slices={name: groups(part, part.slice) for name, part in per_dataset.items()},
                   categories={name: groups(part, part.category) for name, part in per_dataset.items()},
                   temperatures=groups(cols, np.asarray([f"{value:g}" for value in cols.temperature], dtype=np.str_)),
                   behaviour=behaviour(cols), dataset_behaviour={name: behaviour(part) for name, part in per_dataset.items()},
                   resamples=resamples, seed=seed)


def group(cols: Columns, *, resamples: int = RESAMPLES, seed: int = 0) -> Group:
    """The row of a table for these episodes."""
    graded, both = cols.graded, cols.graded & ~np.isnan(cols.paper)
    strict, paper = cols.strict == 1.0, cols.paper == 1.0

    def rate(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Rate:
        return _rate(hits[among], cols.cluster[among], resamples, seed)

    impossible, abstained = cols.impossible & graded, cols.abstained & graded
    abstention = None
    if impossible.any() or abstained.any():
        abstention = Abstention(impossible=int(impossible.sum()), abstained=int(abstained.sum()),
                                correct=int((impossible & abstained).sum()), precision=rate(cols.impossible, abstained),
                                recall=rate(cols.abstained, impossible))
    whole = rate(strict, graded)
    return Group(traces=len(cols), tasks=len(np.unique(cols.task)), ungraded=_counts(cols.label[~graded]),
                 paper_ungraded=_counts(cols.paper_label[cols.paper_ungraded]), strict=whole, paper=rate(paper, both),
                 inflation=float(paper[both].mean() - strict[both].mean()) if both.any() else None,
                 floor=float(strict.mean()) if len(cols) else None, mean_score=_mean(cols.strict[graded]),
                 answerable=rate(strict, graded & ~cols.impossible) if impossible.any() else whole, abstention=abstention)


def behaviour(cols: Columns) -> Behaviour:
    """What these episodes did and what they cost; turns, seconds and tokens are of those that are not masked."""
    played = cols.where(cols.played)
    totals = cols.actions.sum(axis=0)
    valid = int(totals.sum())
    refused = cols.refused.sum(axis=0)
    errors = _counts(cols.error[cols.error != ""])
    return Behaviour(stops=_counts(cols.stop), labels=_counts(cols.label), errors=errors, paper_errors=paper_counts(errors),
                     actions={name: float(n / valid) if valid else 0.0 for name, n in zip(ACTIONS, totals, strict=True)},
                     action_count=valid, refused={name: int(n) for name, n in zip(REFUSALS, refused, strict=True)},
                     turns=_quantity(played.measure("turns")), seconds=_quantity(played.measure("seconds")),
                     completion_tokens=_quantity(played.measure("completion_tokens")),
                     context_tokens=_quantity(played.measure("context_tokens")), time=_time(cols), loops=loop_cost(cols))


def _split(cols: Columns, key: NDArray[np.str_]) -> Iterator[tuple[str, Columns]]:
    names, codes = np.unique(key, return_inverse=True)
    for code, name in enumerate(names):
        yield str(name), cols.where(codes == code)


def _rate(hits: NDArray[np.bool_], clusters: NDArray[np.int64], resamples: int, seed: int) -> Rate:
    n, successes, k = len(hits), int(hits.sum()), len(np.unique(clusters))
    if n == 0:
        return Rate(value=None, n=0, successes=0, wilson_low=None, wilson_high=None, ci_low=None, ci_high=None, clusters=0)
    plain = wilson(successes, n)
    clustered = cluster_bootstrap(hits, clusters, resamples=resamples, seed=seed)
    if isnan(clustered.low) or clustered.low == clustered.high:
        clustered = wilson(successes / n * k, k)
    return Rate(value=plain.estimate, n=n, successes=successes, wilson_low=plain.low, wilson_high=plain.high,
                ci_low=clustered.low, ci_high=clustered.high, clusters=k)


def _counts(labels: NDArray[np.str_]) -> dict[str, int]:
    """Most frequent first."""
    names, counts = np.unique(labels, return_counts=True)
    return {str(names[i]): int(counts[i]) for i in np.argsort(-counts, kind="stable")}


def _quantity(values: NDArray[np.float64]) -> Quantity:
    known = values[~np.isnan(values)]
    if not len(known):
        return Quantity(mean=None, p50=None, p95=None, n=0)
    p50, p95 = np.quantile(known, [0.5, 0.95])
    return Quantity(mean=float(known.mean()), p50=float(p50), p95=float(p95), n=len(known))


def _time(cols: Columns) -> TimeSplit:
    parts = {name: float(cols.measure(name).sum()) for name in ("generation", "environment", "grading")}
    seconds, started = cols.measure("seconds"), cols.measure("started")
    rest = max(0.0, float(seconds.sum()) - sum(parts.values()))
    timed = started > 0
    wall = float((started + seconds)[timed].max() - started[timed].min()) if timed.any() else 0.0
    return TimeSplit(**parts, rest=rest, wall=wall or None, episodes_per_second=float(timed.sum() / wall) if wall else None)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
