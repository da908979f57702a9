"""Runs as a leaderboard that does not say more than the runs do.

Promises: greedy rollouts only (each run's lowest temperature); a row's rank is one more than the number of rows that are better by
a paired interval that excludes 0, so rows that cannot be told apart share a rank; rows that did not play the same tasks are
compared over those that both played, and how many that leaves out is said; masked episodes are counted, never scored.
Does not cover: a correction for many comparisons (the page says how many were made); several rollouts per task (`medcopilot eval`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from pydantic import BaseModel, ConfigDict

from medcopilot import __version__
from medcopilot.evaluation.columns import Columns
from medcopilot.evaluation.compare import Difference, difference
from medcopilot.evaluation.intervals import RESAMPLES
from medcopilot.evaluation.records import above_limit
from medcopilot.evaluation.suites import SUITES, suites
from medcopilot.evaluation.summary import Group, group
from medcopilot.leaderboard.published import NOTE, ROWS, Published
from medcopilot.prices import Price, price_of


class Row(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    policy: str
    protocol: str
    rank: int | None
    """None where nothing was graded."""
    rate: Group
    in_distribution: float | None
    """Mean of the strict rates of the datasets of the suite that are there (and `out_of_distribution`): the paper's average only
    where all are."""
    out_of_distribution: float | None
    in_distribution_datasets: int
    """How many of the suite's datasets are there (and `out_of_distribution_datasets`)."""
    out_of_distribution_datasets: int
    datasets: dict[str, float]
    """Strict rate of each."""
    masked: int
    turns: float
    """Mean of an episode (and `seconds`, `tokens`)."""
    seconds: float
    tokens: float | None
    cost: float | None
    """US dollars of all episodes, those of higher temperatures too; None where a price or a count is not known."""

    @property
    def of_suites(self) -> dict[str, tuple[float | None, int, int]]:
        """Suite -> mean, datasets that it is over, datasets of the suite."""
        return {"in distribution": (self.in_distribution, self.in_distribution_datasets, len(SUITES["in distribution"])),
                "out of distribution": (self.out_of_distribution, self.out_of_distribution_datasets,
                                        len(SUITES["out of distribution"]))}


class Board(BaseModel):
    """Everything that the tables show."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str
    created: str
    rows: list[Row]
    """By rank, then by rate."""
    differences: dict[str, Difference]
    """`b − a` for every pair."""
    datasets: list[str]
    notes: list[str]
    published: list[Published]
    published_note: str


def make_board(runs: Mapping[str, Columns], *, prices: Mapping[str, Price] | None = None, notes: Sequence[str] = (),
               reference: bool = True, resamples: int = RESAMPLES, seed: int = 0) -> Board:
    """The board of some runs.

    Args:
        runs: whole runs by name.
        prices: by the policy's name, with or without the kind before its colon.
        notes: sentences to print below, e.g. which entry is not whole.
        reference: with the published rows.
    """
    cool = {name: cols.where(cols.temperature == cols.temperature.min()) for name, cols in runs.items()}
    found = {f"{b} − {a}": difference(cool[a], cool[b], resamples=resamples, seed=seed) for a, b in combinations(cool, 2)}
    beaten = dict.fromkeys(cool, 0)
    for a, b in combinations(cool, 2):
        pair = found[f"{b} − {a}"]
        if pair.separated and pair.difference:
            beaten[a if pair.difference > 0 else b] += 1
    rows = [_row(name, cols, beaten[name] + 1, _dollars(runs[name], prices or {}), resamples, seed) for name, cols in cool.items()]
    rows.sort(key=lambda row: (row.rank is None, row.rank, -(row.rate.strict.value or 0.0), row.name))
    said = [*notes, *_warnings(cool, found)]
    return Board(version=__version__, created=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), rows=rows, differences=found,
                 datasets=sorted({dataset for row in rows for dataset in row.datasets}), notes=said,
                 published=list(ROWS) if reference else [], published_note=NOTE if reference else "")


def _row(name: str, cols: Columns, rank: int, cost: float | None, resamples: int, seed: int) -> Row:
    graded = cols.where(cols.graded)
    parts = suites(cols, resamples=100, seed=seed)  # of these only the means are shown
    inside, outside = parts.get("in distribution"), parts.get("out of distribution")
    return Row(
        name=name, policy=str(cols.policy[0]) if len(cols) else "", protocol=", ".join(sorted(set(cols.protocol.tolist()))),
        rank=rank if len(graded) else None, rate=group(cols, resamples=resamples, seed=seed),
        in_distribution=inside.macro_strict if inside else None, in_distribution_datasets=len(inside.datasets) if inside else 0,
        out_of_distribution=outside.macro_strict if outside else None,
        out_of_distribution_datasets=len(outside.datasets) if outside else 0,
        datasets={str(dataset): float((graded.strict[graded.dataset == dataset] == 1.0).mean())
                  for dataset in np.unique(graded.dataset)},
        masked=int((~cols.graded).sum()), turns=_mean(cols, "turns") or 0.0, seconds=_mean(cols, "seconds") or 0.0,
        tokens=_mean(cols, "completion_tokens"), cost=cost)


def _dollars(whole: Columns, prices: Mapping[str, Price]) -> float | None:
    """What all episodes of a run cost; None where a price or a count is not known, or the run is of several policies."""
    policies = set(whole.policy.tolist())
    price = price_of(prices, *policies) if len(policies) == 1 else None
    prompt, sampled = whole.total("prompt_tokens"), whole.total("completion_tokens")
    return price.of(prompt, sampled) if price is not None and prompt is not None and sampled is not None else None


def _mean(cols: Columns, name: str) -> float | None:
    """Of the episodes that are not masked."""
    values = cols.measure(name)
    known = values[cols.played & ~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _warnings(runs: Mapping[str, Columns], found: Mapping[str, Difference]) -> list[str]:
    said = [f"{name}: {masked} of {len(cols)} episodes are masked, because our machinery failed"
            f"{above_limit(masked, len(cols)) or '.'} The same command plays them again."
            for name, cols in runs.items() if (masked := int((~cols.graded).sum()))]
    if len(found) > 1:
        said.append(f"{len(found)} pairs were compared, each with its own 95 % interval: about one in twenty excludes 0 by chance.")
    if uneven := sum(pair.left_out > 0 for pair in found.values()):
        said.append(f"Not all runs have graded the same tasks: {uneven} of {len(found)} pairs leave some out; compare rates across "
                    "rows with care.")
    warm = [f"{name} T = {cols.temperature[0]:g}" for name, cols in runs.items() if len(cols) and cols.temperature[0] > 0]
    if warm:
        said.append(f"Not greedy, but at the lowest temperature that was sampled: {', '.join(warm)}.")
    protocols = {protocol for cols in runs.values() for protocol in cols.protocol.tolist()}
    if len(protocols) > 1:
        said.append(f"Protocols differ ({', '.join(sorted(protocols))}): protocol paper ends at the first correct execution, which "
                    "helps whoever tries often.")
    return said
