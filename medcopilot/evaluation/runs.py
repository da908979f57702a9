"""Finished sample runs as named columns, and everything that `medcopilot eval` says of them.

Promises: a run that mixes temperatures becomes one entry per temperature wherever a plain rate is given, so that no rate is over
both; its curves over K are over the whole run (`scaling`). Torn last lines are left out and told; the numbers are added to the
run's own `summary.json` without touching what else stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from env.errors import UserError
from medcopilot.evaluation.columns import Columns, columns
from medcopilot.evaluation.compare import Difference, difference
from medcopilot.evaluation.intervals import RESAMPLES
from medcopilot.evaluation.protocols import Inflation, inflation, protocol_pairs
from medcopilot.evaluation.records import RunRecord, read_record
from medcopilot.evaluation.scaling import Scaling, scaling
from medcopilot.evaluation.suites import Suite, suites
from medcopilot.evaluation.summary import Summary, summarise
from medcopilot.evaluation.training import Checkpoint, training_curve
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace


def run_name(path: Path, among: Iterable[Path]) -> str:
    """The folder's name, or its whole path where another is called alike."""
    twins = [other for other in among if other.name == path.name and other != path]
    return str(path) if twins or not path.name else path.name


class Evaluation(BaseModel):
    """All numbers of some runs, keyed by the runs' names."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    runs: dict[str, Summary]
    """`name, T = 0.6` for each temperature where there are several."""
    comparisons: dict[str, Difference]
    """Every run against the first."""
    suites: dict[str, dict[str, Suite]]
    scaling: dict[str, Scaling]
    """Runs with several rollouts per task."""
    inflation: dict[str, Inflation]
    """Pairs of runs that differ in the protocol."""
    training: list[Checkpoint]
    """The runs as checkpoints, where `at` was given."""
    notes: list[str] = []
    """What a reader has to know of the runs."""


def load_runs(folders: list[Path], tell: Callable[[str], None] = lambda _: None) -> dict[str, Columns]:
    """Columns of every run, all temperatures together, by name, in the order given.

    Raises:
        UserError: a folder is not a run, or holds no traces.
    """
    loaded: dict[str, Columns] = {}
    for folder in dict.fromkeys(folders):
        cols = columns(_traces(folder, tell))
        if not len(cols):
            raise UserError(f"{folder}/traces holds no traces: run `medcopilot sample` into it first")
        loaded[run_name(folder, folders)] = cols
    return loaded


def load_records(folders: Iterable[Path]) -> dict[str, RunRecord]:
    """What every run says of itself, by the names of `load_runs`."""
    among = list(dict.fromkeys(folders))
    return {run_name(folder, among): read_record(folder) for folder in among}


def by_temperature(runs: Mapping[str, Columns]) -> dict[str, Columns]:
    """One entry per run and temperature; a run with one temperature keeps its name."""
    split: dict[str, Columns] = {}
    for name, cols in runs.items():
        temperatures = np.unique(cols.temperature)
        for value in temperatures:
            split[name if len(temperatures) == 1 else f"{name}, T = {value:g}"] = cols.where(cols.temperature == value)
    return split


def evaluate(whole: Mapping[str, Columns], scores: Mapping[str, Mapping[str, float]] | None = None, *,
             at: Sequence[float] = (), records: Mapping[str, RunRecord] | None = None, notes: Sequence[str] = (),
             resamples: int = RESAMPLES, seed: int = 0) -> Evaluation:
    """Everything that can be said of these runs.

    Args:
        scores: run -> trace id -> a verifier's score, for Best@K.
        at: for every run, where on the axis of training it stands.
        records: of the runs (`load_records`): which of them are of one policy, for pairs of protocols.
        notes: sentences to keep beside the numbers.

    Raises:
        UserError: `at` has another length than there are runs, or scores are missing for an episode.
    """
    if at and len(at) != len(whole):
        raise UserError(f"{len(at)} places on the training axis for {len(whole)} runs: give --at once for every run, in order")
    if not np.isfinite(at).all():
        raise UserError(f"--at {', '.join(f'{place:g}' for place in at)}: nan is no place on the training axis: give a number")
    split = by_temperature(whole)
    numbers = {"resamples": resamples, "seed": seed}
    curves = {name: scaling(cols, scores[name] if scores else None, **numbers) for name, cols in whole.items()}
    policies = {part: record.policy for name, record in (records or {}).items() for part in by_temperature({name: whole[name]})}
    pairs = {f"{b} against {a}": inflation(split[a], split[b], **numbers) for a, b in protocol_pairs(split, policies)}
    cool = [(place, name, cols.where(cols.temperature == cols.temperature.min()))
            for place, (name, cols) in zip(at, whole.items(), strict=False)]
    return Evaluation(runs={name: summarise(cols, **numbers) for name, cols in split.items()},
                      comparisons=against_first(split, **numbers),
                      suites={name: suites(cols, **numbers) for name, cols in split.items()},
                      scaling={name: curve for name, curve in curves.items() if curve is not None},
                      inflation={name: item for name, item in pairs.items() if item is not None},
                      training=training_curve(cool, **numbers), notes=list(notes))


def against_first(runs: Mapping[str, Columns], *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Difference]:
    """Every run against the first, over the tasks that both graded; per slice where there are several."""
    names, found = list(runs), {}
    for name in names[1:]:
        a, b = runs[names[0]], runs[name]
        label = f"{name} − {names[0]}"
        found[label] = difference(a, b, resamples=resamples, seed=seed)
        parts = np.union1d(a.slice, b.slice)
        for part in parts if len(parts) > 1 else ():
            found[f"{label}, {part}"] = difference(a.where(a.slice == part), b.where(b.slice == part), resamples=resamples,
                                                   seed=seed)
    return {name: item for name, item in found.items() if item.tasks}


def write_summary(folder: Path, name: str, found: Evaluation) -> None:
    """Put a run's numbers under `evaluation`, `suites` and `scaling` into its own `summary.json`."""
    def own(items: Mapping[str, Any]) -> dict[str, Any]:
        return {key: item for key, item in items.items() if key == name or key.startswith(f"{name}, T = ")}

    curves = found.scaling.get(name)
    RunFolder(folder).write_summary({
        "evaluation": {key: item.model_dump() for key, item in own(found.runs).items()},
        "suites": {key: {suite: part.model_dump() for suite, part in item.items()} for key, item in own(found.suites).items()},
        "scaling": curves.model_dump() if curves is not None else None})


def _traces(folder: Path, tell: Callable[[str], None]) -> Iterator[Trace]:
    torn: list[str] = []
    yield from RunFolder.open(folder).scan(torn)
    for place in torn:
        tell(f"{place}: the last line is torn and was left out; the same `medcopilot sample` command plays it again")
