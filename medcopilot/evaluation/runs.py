"""Finished sample runs as named columns: what `medcopilot eval` works on.

Promises: a run that mixes temperatures becomes one entry per temperature, so that no rate is over both; torn last lines are
left out and told; the summary is added to the run's own `summary.json` without touching what else stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from env.errors import UserError
from medcopilot.evaluation.columns import Columns, columns
from medcopilot.evaluation.compare import Difference, difference
from medcopilot.evaluation.intervals import RESAMPLES
from medcopilot.evaluation.summary import Summary
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace, read_traces


def run_name(path: Path, among: Iterable[Path]) -> str:
    """The folder's name, or its whole path where another is called alike."""
    twins = [other for other in among if other.name == path.name and other != path]
    return str(path) if twins or not path.name else path.name


def load_runs(folders: list[Path], tell: Callable[[str], None] = lambda _: None) -> dict[str, Columns]:
    """Columns of every run, by name, in the order given; `name, T = 0.6` for each temperature where there are several.

    Raises:
        UserError: a folder is not a run, or holds no traces.
    """
    loaded: dict[str, Columns] = {}
    for folder in dict.fromkeys(folders):
        cols = columns(_traces(folder, tell))
        if not len(cols):
            raise UserError(f"{folder}/traces holds no traces: run `medcopilot sample` into it first")
        name, temperatures = run_name(folder, folders), np.unique(cols.temperature)
        for value in temperatures:
            label = name if len(temperatures) == 1 else f"{name}, T = {value:g}"
            loaded[label] = cols.where(cols.temperature == value)
    return loaded


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


def write_summary(folder: Path, summaries: Mapping[str, Summary]) -> None:
    """Put the numbers under `evaluation` into the run's `summary.json`."""
    RunFolder(folder).write_summary({"evaluation": {name: summary.model_dump() for name, summary in summaries.items()}})


def _traces(folder: Path, tell: Callable[[str], None]) -> Iterator[Trace]:
    torn: list[str] = []
    for shard in sorted(RunFolder.open(folder).traces_dir.glob("*.jsonl")):
        yield from read_traces(shard, torn)
    for place in torn:
        tell(f"{place}: the last line is torn and was left out; the same `medcopilot sample` command plays it again")
