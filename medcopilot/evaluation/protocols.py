"""How much a kinder rule flatters: protocol `paper` against `submit`, the paper's grader against the strict one.

Promises: all four rates are over the same tasks, those that both runs played and both graders scored; each inflation is a paired
difference with a cluster-bootstrap interval. `both` is the distance from the strictest number to the published kind of number.
Does not cover: settings other than the protocol in which the two runs differ (`medcopilot.report.comparable` tells of them).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.intervals import RESAMPLES, cluster_bootstrap_table
from medcopilot.evaluation.scaling import Estimate, estimate


class Inflation(BaseModel):
    """Four rates and what separates them, over shared tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tasks: int
    clusters: int
    left_out: int
    """Tasks that are not played and graded four times."""
    submit_strict: Estimate
    submit_paper: Estimate
    """Protocol `submit`, the paper's grader."""
    paper_strict: Estimate
    """Protocol `paper`, the strict grader."""
    paper_paper: Estimate
    by_grader: Estimate
    """submit_paper minus submit_strict."""
    by_protocol: Estimate
    """paper_strict minus submit_strict."""
    both: Estimate
    """paper_paper minus submit_strict."""


def inflation(submit: Columns, paper: Columns, *, resamples: int = RESAMPLES, seed: int = 0) -> Inflation | None:
    """The two protocols of one policy; None where they share no task.

    Raises:
        ValueError: the runs are not one of each protocol.
    """
    if set(submit.protocol.tolist()) != {"submit"} or set(paper.protocol.tolist()) != {"paper"}:
        raise ValueError("inflation needs one run of protocol submit and one of protocol paper")
    tasks_a, rates_a, clusters = _per_task(submit)
    tasks_b, rates_b, _ = _per_task(paper)
    shared, at_a, at_b = np.intersect1d(tasks_a, tasks_b, assume_unique=True, return_indices=True)
    if not len(shared):
        return None
    cells = np.hstack([rates_a[at_a], rates_b[at_b]])  # submit strict, submit paper, paper strict, paper paper
    table = np.hstack([cells, cells[:, [1, 2, 3]] - cells[:, [0]]])
    names = ("submit_strict", "submit_paper", "paper_strict", "paper_paper", "by_grader", "by_protocol", "both")
    found = cluster_bootstrap_table(table, clusters[at_a], resamples=resamples, seed=seed,
                                    scale=[(0.0, 1.0)] * 4 + [(-1.0, 1.0)] * 3)
    parts = {name: estimate(item) for name, item in zip(names, found, strict=True)}
    every = np.union1d(submit.task, paper.task)
    return Inflation(tasks=len(shared), clusters=len(np.unique(clusters[at_a])), left_out=len(every) - len(shared), **parts)


def protocol_pairs(runs: Mapping[str, Columns], policies: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Names of runs that differ in the protocol: same policy, same temperature, a dataset in common.

    Args:
        policies: run -> what tells its policy from others (`records.RunRecord.policy`); where one of two runs has none, their
            policies' names have to do.
    """
    known = policies or {}

    def alike(a: str, b: str) -> bool:
        one, two = known.get(a), known.get(b)
        return one == two if one and two else set(runs[a].policy.tolist()) == set(runs[b].policy.tolist())

    def only(name: str, protocol: str) -> bool:
        return set(runs[name].protocol.tolist()) == {protocol}

    return [(a, b) for a in runs if only(a, "submit") for b in runs if only(b, "paper") and alike(a, b)
            and set(runs[a].temperature.tolist()) == set(runs[b].temperature.tolist())
            and set(runs[a].dataset.tolist()) & set(runs[b].dataset.tolist())]


def _per_task(cols: Columns) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.int64]]:
    """Tasks that both graders scored, their mean strict and paper success, shape (T, 2), and their clusters."""
    part = cols.where(cols.graded & ~np.isnan(cols.paper))
    tasks, first, codes = np.unique(part.task, return_index=True, return_inverse=True)
    count = np.bincount(codes, minlength=len(tasks))
    means = [np.bincount(codes, weights=score == 1.0, minlength=len(tasks)) / count for score in (part.strict, part.paper)]
    return tasks, np.stack(means, axis=1), part.cluster[first]
