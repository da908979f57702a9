"""Training-time scaling: success over checkpoints, or over shares of the training data.

Promises: one point per run, in the order of `at`; each has its own interval and its paired difference from the point before, over
the tasks that both played. The same tasks everywhere, or the differences say how many were left out.
Does not cover: fitting a law to the points, and pictures (`medcopilot.report.scaling`).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.compare import Difference, difference
from medcopilot.evaluation.intervals import RESAMPLES
from medcopilot.evaluation.suites import SUITES, in_suite
from medcopilot.evaluation.summary import Rate, group


class Checkpoint(BaseModel):
    """One checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    at: float
    """Training steps, episodes or share of the data: whatever the caller counts in."""
    run: str
    strict: Rate
    paper: Rate
    slices: dict[str, Rate]
    """Strict, for each of seen, unseen, official, train that was played."""
    suites: dict[str, Rate]
    """Strict, pooled."""
    gain: Difference | None
    """Against the checkpoint before; None for the first."""


def training_curve(runs: Sequence[tuple[float, str, Columns]], *, resamples: int = RESAMPLES, seed: int = 0) -> list[Checkpoint]:
    """Success over `at`. Each run of one temperature (the lowest is the usual choice).

    Args:
        runs: (at, name, episodes).
    """
    found: list[Checkpoint] = []
    before: Columns | None = None
    for at, name, cols in sorted(runs, key=lambda run: run[0]):
        whole = group(cols, resamples=resamples, seed=seed)
        slices = {str(part): group(cols.where(cols.slice == part), resamples=resamples, seed=seed).strict
                  for part in sorted(set(cols.slice.tolist()))}
        parts = {suite: group(cols.where(in_suite(cols, suite)), resamples=resamples, seed=seed).strict for suite in SUITES
                 if in_suite(cols, suite).any()}
        gain = difference(before, cols, resamples=resamples, seed=seed) if before is not None else None
        found.append(Checkpoint(at=at, run=name, strict=whole.strict, paper=whole.paper, slices=slices, suites=parts, gain=gain))
        before = cols
    return found
