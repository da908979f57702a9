"""Which datasets belong together: the paper's in- and out-of-distribution suites, and structured against open-ended tasks.

Promises: a suite is a fixed list of datasets, named here and nowhere else; a dataset of one's own is in none of them. Beside the
pooled rate stands the mean of the datasets' rates, each counting once (the paper's average), and which datasets of the suite a run
lacks: an average over fewer is not the paper's.
Does not cover: seen and unseen templates within a dataset, which are slices (`Columns.slice`).
Source: arXiv 2506.04405, table of datasets (8 in, 4 out). Structured are its database, FHIR, calculation and text tasks, whose
answer is a value or a state; open-ended are those whose answer is a program or a model (families `code` and `ml`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medcopilot.evaluation.answers import PROGRAM_TASKS
from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.intervals import RESAMPLES
from medcopilot.evaluation.summary import Behaviour, Group, behaviour, group

SUITES: dict[str, tuple[str, ...]] = {
    "in distribution": ("mimic_iii", "eicu", "treqs", "medcalcbench", "medagentbench", "biocoder", "ehrshot", "biodsbench"),
    "out of distribution": ("ehr_seqsql", "ehrcon", "mimic_extract", "npowerai"),
    "structured": ("mimic_iii", "eicu", "treqs", "medcalcbench", "medagentbench", "ehr_seqsql", "ehrcon", "npowerai"),
    "open-ended": PROGRAM_TASKS,
}


class Suite(BaseModel):
    """One suite of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    group: Group
    """All episodes pooled."""
    macro_strict: float | None
    """Mean of the strict rates of the datasets that are there."""
    macro_paper: float | None
    datasets: list[str]
    missing: list[str]
    """Datasets of the suite without a graded episode here."""
    behaviour: Behaviour
    """With the share of each action."""


def in_suite(cols: Columns, name: str) -> NDArray[np.bool_]:
    """Which episodes belong to a suite."""
    return np.isin(cols.dataset, SUITES[name])


def suites(cols: Columns, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Suite]:
    """Every suite of which the run has an episode."""
    found = {}
    for name, members in SUITES.items():
        part = cols.where(in_suite(cols, name))
        if not len(part):
            continue
        graded = part.graded
        there = [dataset for dataset in members if (graded & (part.dataset == dataset)).any()]
        found[name] = Suite(group=group(part, resamples=resamples, seed=seed), behaviour=behaviour(part), datasets=there,
                            macro_strict=_macro(part.dataset[graded], part.strict[graded]), macro_paper=_macro(
                                part.dataset[~np.isnan(part.paper)], part.paper[~np.isnan(part.paper)]),
                            missing=[dataset for dataset in members if dataset not in there])
    return found


def _macro(datasets: NDArray[np.str_], scores: NDArray[np.float64]) -> float | None:
    names = np.unique(datasets)
    return float(np.mean([(scores[datasets == name] == 1.0).mean() for name in names])) if len(names) else None
