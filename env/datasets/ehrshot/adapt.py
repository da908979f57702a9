"""Real records as tasks: which of the known layouts a folder has, and reading its events.

Promises: two layouts. EHRSHOT's release: `benchmark/<task>/labeled_patients.csv`, `data/ehrshot.csv`, `splits/person_id_map.csv`
(`release`). A MEDS extract: Parquet or CSV files with `subject_id`, `time`, `code` and `numeric_value` or `value`, directly in
the folder or under `data/`, with hospital stays to derive labels from (`meds`). A missing or malformed file is a `UserError` that
names file, field and cure.
Does not cover: FEMR databases and feature pickles of the release: not needed, and not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from env.datasets.base import BuildRequest, Progress
from env.datasets.ehrshot.tables import as_times, read_table
from env.errors import UserError
from env.task import Task

SUFFIXES = (".parquet", ".csv", ".csv.gz")
_LEFT_OUT = ("label", "split", "metadata", "codes")
"""Files of a MEDS folder whose names hold these words have no events."""


def adapt_source(request: BuildRequest, folder: Path, progress: Progress) -> Iterator[Task]:
    """Tasks of whichever layout is there.

    Raises:
        UserError: none is, or a file is unreadable.
    """
    from env.datasets.ehrshot.meds import derive_tasks
    from env.datasets.ehrshot.release import release_tasks

    assert request.source is not None
    source = request.source
    if request.options:
        raise UserError(f"ehrshot: unknown option {sorted(request.options)[0]!r}; a real source has none")
    if not source.exists():
        raise UserError(f"ehrshot: source {source} does not exist: give the folder of EHRSHOT's release or of a MEDS extract")
    root = source / "EHRSHOT_ASSETS" if (source / "EHRSHOT_ASSETS").is_dir() else source
    if (root / "benchmark").is_dir():
        yield from release_tasks(root, request.seed, folder, progress)
        return
    yield from derive_tasks(read_events(event_files(source)), request.seed, folder, progress)


def event_files(source: Path) -> list[Path]:
    """Files with events of a MEDS folder, sorted; or the one file that was given."""
    if source.is_file():
        return [source]
    places = [place for place in (source / "data", source) if place.is_dir()]
    for place in places:
        found = sorted(path for path in place.rglob("*") if path.is_file() and path.name.lower().endswith(SUFFIXES)
                       and not any(word in str(path.relative_to(place)).lower() for word in _LEFT_OUT))
        if found:
            return found
    if next(source.rglob("clmbr_*.pkl"), None):
        raise UserError(f"ehrshot: {source} is the released gym's folder: its features are pickles, which are never loaded: give "
                        "the folder of EHRSHOT's own release")
    if any((source / name).is_dir() for name in ("femr", "features", "models")):
        raise UserError(f"ehrshot: {source} has EHRSHOT's FEMR database or features only: fetch benchmark/, data/ and splits/ too")
    raise UserError(f"ehrshot: no events in {source}: put MEDS files there (*.parquet or *.csv with subject_id, time, code and "
                    "numeric_value), or EHRSHOT's benchmark/, data/ and splits/")


def read_events(files: list[Path]) -> pd.DataFrame:
    """All events: `subject_id`, `time`, `code`, `numeric_value`.

    Raises:
        UserError: a file cannot be read or lacks a column.
    """
    frames = []
    for path in files:
        frame = read_table(path)
        number = "numeric_value" if "numeric_value" in frame.columns else "value"
        missing = [name for name in ("subject_id", "time", "code", number) if name not in frame.columns]
        if missing:
            raise UserError(f"{path}: column {missing[0]!r} is missing: MEDS events have subject_id, time, code and numeric_value")
        frame = frame[["subject_id", "time", "code", number]].rename(columns={number: "numeric_value"})
        frame["time"] = as_times(frame["time"], path, "time")
        frame["numeric_value"] = pd.to_numeric(frame["numeric_value"], errors="coerce")
        frames.append(frame.dropna(subset=["subject_id", "code"]))
    events = pd.concat(frames, ignore_index=True)
    return events.sort_values(["subject_id", "time"], kind="stable", ignore_index=True)
