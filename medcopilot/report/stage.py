"""One column of a report: a stage's episodes, read once.

Promises: the headline of a stage is its lowest temperature; other temperatures stand beside it, never mixed in. Traces are not
kept, except the few that the page shows in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from env.errors import UserError
from medcopilot.evaluation.columns import Columns, columns
from medcopilot.evaluation.records import read_record, wholeness
from medcopilot.evaluation.scaling import Scaling, scaling
from medcopilot.evaluation.summary import Group, Summary, summarise
from medcopilot.report.trajectories import Picker
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace
from medcopilot.verifier.scores import kept_scores

Source = Path | Sequence[Path] | Iterable[Trace]
"""A run folder, several of them, or traces."""


@dataclass
class Stage:
    """One column of the report: a policy's episodes."""

    name: str
    everything: Columns
    """All episodes."""
    columns: Columns
    """At the lowest temperature that was sampled: the headline."""
    summary: Summary
    temperature: float
    hotter: dict[str, Columns]
    """Other temperatures of the same stage."""
    scaling: Scaling | None
    """Over K rollouts per task, all temperatures; None where every task was played once."""
    picker: Picker
    folders: list[Path] = field(default_factory=list)
    facts: dict[str, set[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """Why its numbers are not over all that it was to play."""


def read_stage(name: str, source: Source, per_kind: int, seed: int) -> Stage:
    """Read every trace once. `per_kind`: how many episodes of each dataset and outcome to keep in full.

    Raises:
        UserError: not a run folder, no traces in it, or one episode in two folders.
    """
    folders = [source] if isinstance(source, Path) else [item for item in source if isinstance(item, Path)] \
        if isinstance(source, Sequence) else []
    picker = Picker(per_kind, seed)
    facts: dict[str, set[str]] = {"policy": set(), "protocol": set(), "sandbox": set(), "licence": set()}

    def watched() -> Iterator[Trace]:
        for trace in (_read(name, folders) if folders else source):
            for fact, values in facts.items():
                values.add(str(getattr(trace, fact)))
            picker.offer(trace)
            yield trace

    everything = columns(watched())
    if not len(everything):
        raise UserError(f"{folders[0] if folders else name}: no traces there: run `medcopilot sample` first")
    picker.forget(set(everything.id[everything.graded].tolist()))
    lowest = float(everything.temperature.min())
    cool = everything.where(everything.temperature == lowest)
    hotter = {f"{value:g}": everything.where(everything.temperature == value)
              for value in np.unique(everything.temperature) if value > lowest}
    curves = scaling(everything, _scores(folders, everything))
    # that fewer than all are graded stands in the page already; not that they are too many
    notes = wholeness(name, everything, [read_record(folder) for folder in folders])
    return Stage(name, everything, cool, summarise(cool), lowest, hotter, curves, picker, folders, facts, notes)


def _scores(folders: Iterable[Path], cols: Columns) -> dict[str, float] | None:
    """A verifier's scores, where they lie beside every folder and cover every graded episode."""
    kept = [kept_scores(folder) for folder in folders]
    merged = {name: score for part in kept if part for name, score in part.items()}
    return merged if kept and all(part is not None for part in kept) and set(cols.id[cols.graded].tolist()) <= set(merged) else None


def _read(name: str, folders: Sequence[Path]) -> Iterator[Trace]:
    """All episodes of the folders. One that is played again has its id in its own folder, not in another."""
    owners: dict[str, int] = {}
    for number, folder in enumerate(folders):
        for trace in RunFolder.open(folder).scan():
            if len(folders) > 1 and (owner := owners.setdefault(trace.id, number)) != number:
                raise UserError(f"{folders[owner]} and {folder} hold the same episode ({trace.id}), so they are not two parts of "
                                f"one run, {name}: give each a name of its own, NAME=FOLDER, or leave one out")
            yield trace


def headline_slice(stages: list[Stage]) -> str:
    """`seen` where every stage has it: what the headline is about. Otherwise everything."""
    return "seen" if all("seen" in stage.summary.slices for stage in stages) else ""


def headline_group(stage: Stage, part: str, dataset: str = "") -> Group | None:
    """The group behind a headline number; None where the stage has no such episodes."""
    if dataset:
        return stage.summary.dataset_slices.get(dataset, {}).get(part) if part else stage.summary.datasets.get(dataset)
    return stage.summary.slices.get(part) if part else stage.summary.overall
