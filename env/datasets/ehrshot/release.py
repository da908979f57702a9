"""EHRSHOT's own release as tasks: its labels, its split of patients, its events.

Promises: reads `benchmark/<task>/labeled_patients.csv` (patient_id, prediction_time, value, label_type),
`splits/person_id_map.csv` (omop_person_id, split) and the events `data/ehrshot.csv` (patient_id, start, code, value). One row per
patient and task, drawn by seed: with more, the record before a later prediction would tell the outcome of an earlier one. A box
sees the last `RECENT` events of each patient up to the prediction time. Test tasks fit on the official training patients and are
scored on the official test patients; training tasks use the official training patients alone, split again. Rows and tasks that
are left out are counted in `baselines.json`.
Does not cover: few-shot samples (`all_shots_data.json`), features and models of the release.
Source of the layout: github.com/som-shahlab/ehrshot-benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from env.datasets.base import Progress
from env.datasets.ehrshot.outcomes import CHEST
from env.datasets.ehrshot.tables import as_times, read_table
from env.datasets.ehrshot.tasks import CLASS_NAMES, SHARES, SPECS, Spec
from env.datasets.prediction.problem import Kind, Origin, Problem, split_rows, usable, write_table
from env.datasets.prediction.programs import reference_programs
from env.datasets.prediction.report import Baselines
from env.errors import UserError
from env.task import Split, Task

RECENT = 150
_CHUNK = 1_000_000
_CURE = "fetch EHRSHOT's release again (redivis.com/datasets/53gc-8rhx41kgt)"
_PARTS = {"train": "train", "val": "tuning", "test": "test"}
_CODE_SHARE = 0.05


def release_tasks(root: Path, seed: int, folder: Path, progress: Progress) -> Iterator[Task]:
    """Tasks of every benchmark folder that is one of the fifteen.

    Raises:
        UserError: a file is missing or malformed, or no task can be graded.
    """
    official = _splits(root)
    known = {spec.name: spec for spec in SPECS}
    folders = sorted(path.parent for path in root.glob("benchmark/*/labeled_patients.csv"))
    if not folders:
        raise UserError(f"ehrshot: {root}/benchmark has no <task>/labeled_patients.csv: {_CURE}")
    report = Baselines(folder, progress, 2 * len(folders))
    for place in folders:
        if place.name not in known:
            report.refuse(place.name, "it is none of EHRSHOT's fifteen tasks")
    tables = {place.name: _labels(place / "labeled_patients.csv", known[place.name], official, seed)
              for place in folders if place.name in known}
    report.notes = {"left_out": {name: counts for name, (_, counts) in tables.items()}}
    events = _events(root)
    for name, (rows, _) in tables.items():
        splits: tuple[Split, ...] = ("train", "test")
        for split in splits:
            origin = Origin("ehrshot", split, "train" if split == "train" else "official", "Stanford data use agreement", "ehrshot",
                            seed, f"ehrshot-{split}")
            problem = _problem(known[name], _parted(rows, split, seed), events, origin, folder)
            if problem is None:
                report.refuse(name, f"too few outcomes of a kind among the {split} patients")
                continue
            task = report.make(problem, origin)
            if task is not None:
                yield task
    report.write()
    if not report.tasks:
        raise UserError("ehrshot: no task of this release can be graded: "
                        + "; ".join(f"{row['task']}: {row['reason']}" for row in report.quarantined))


def _splits(root: Path) -> dict[int, str]:
    path = root / "splits" / "person_id_map.csv"
    if not path.is_file():
        raise UserError(f"ehrshot: {path} is missing: {_CURE}")
    frame = read_table(path)
    for name in ("omop_person_id", "split"):
        if name not in frame.columns:
            raise UserError(f"{path}: column {name!r} is missing: {_CURE}")
    return dict(zip(frame["omop_person_id"].astype(int), frame["split"].astype(str), strict=True))


def _events(root: Path) -> pd.DataFrame:
    """All events in little memory: codes as categories."""
    files = sorted(path for path in (root / "data").glob("*.csv*") if path.is_file()) if (root / "data").is_dir() else []
    if not files:
        raise UserError(f"ehrshot: {root}/data/ehrshot.csv is missing: {_CURE}")
    pieces = []
    for path in files:
        columns = ["patient_id", "start", "code", "value"]
        head = read_table(path, nrows=0).columns
        missing = [name for name in columns if name not in head]
        if missing:
            raise UserError(f"{path}: column {missing[0]!r} is missing: {_CURE}")
        for chunk in pd.read_csv(path, usecols=columns, chunksize=_CHUNK, dtype={"code": "str", "value": "str"}):
            pieces.append(pd.DataFrame({"subject_id": chunk["patient_id"].astype("int64"),
                                        "time": as_times(chunk["start"], path, "start"),
                                        "code": chunk["code"].astype("category"),
                                        "numeric_value": pd.to_numeric(chunk["value"], errors="coerce").astype("float32")}))
    codes = pd.api.types.union_categoricals([piece["code"] for piece in pieces])
    events = pd.concat([piece.drop(columns="code") for piece in pieces], ignore_index=True)
    events["code"] = codes
    return events.sort_values(["subject_id", "time"], kind="stable", ignore_index=True)


def _labels(path: Path, spec: Spec, official: dict[int, str], seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """`subject_id`, `prediction`, `value` and the official `split`, one row per patient; and what was left out."""
    frame = read_table(path)
    for name in ("patient_id", "prediction_time", "value"):
        if name not in frame.columns:
            raise UserError(f"{path}: column {name!r} is missing: {_CURE}")
    values = frame["value"].astype(str).str.lower().map({"true": "1", "false": "0"}).fillna(frame["value"].astype(str))
    numbers = pd.to_numeric(values, errors="coerce")
    highest = {"binary": 1, "classes": 3, "labels": 2 ** len(CHEST) - 1}[spec.kind]
    wrong = numbers.isna() | (numbers < 0) | (numbers > highest) | (numbers % 1 != 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{path} row {row + 1}: value {frame['value'].iloc[row]!r} is no label from 0 to {highest}: {_CURE}")
    rows = pd.DataFrame({"subject_id": frame["patient_id"].astype(int), "prediction": as_times(frame["prediction_time"], path,
                                                                                               "prediction_time"),
                         "value": numbers.astype(int)})
    rows["split"] = rows["subject_id"].map(official)
    inside = rows[rows["split"].isin(_PARTS.keys())]
    order = np.random.default_rng([seed, *spec.name.encode()]).permutation(len(inside))
    once = inside.iloc[order].drop_duplicates("subject_id").sort_values("subject_id", ignore_index=True)
    return once, {"rows": len(rows), "patient_in_no_split": len(rows) - len(inside),
                  "further_rows_of_a_patient": len(inside) - len(once)}


def _parted(rows: pd.DataFrame, split: Split, seed: int) -> pd.DataFrame:
    """Rows of a split with the `part` each goes to."""
    if split == "test":
        return rows.assign(part=rows["split"].map(_PARTS))
    own = rows[rows["split"] == "train"]
    return own.assign(part=split_rows(np.random.default_rng([seed, 17]), len(own), SHARES))


def _label_matrix(spec: Spec, values: NDArray[np.int64]) -> NDArray[np.float64]:
    if spec.kind == "binary":
        return values[:, None].astype(float)
    if spec.kind == "classes":
        return np.eye(4)[values]
    places = np.arange(len(CHEST))[::-1]  # the first finding is the highest bit
    return ((values[:, None] >> places) & 1).astype(float)


def _problem(spec: Spec, rows: pd.DataFrame, events: pd.DataFrame, origin: Origin, folder: Path) -> Problem | None:
    """The problem with its events written; None where outcomes are too few."""
    part = rows["part"].to_numpy().astype(str)
    labels = _label_matrix(spec, rows["value"].to_numpy())
    kind: Kind = spec.kind
    names = spec.names if kind != "classes" else CLASS_NAMES
    if kind == "labels":
        kept = [c for c in range(len(names)) if all(usable(labels[part == name][:, [c]]) for name in ("train", "test"))]
        labels, names = labels[:, kept], tuple(names[c] for c in kept)
    if not labels.shape[1] or not all(usable(labels[part == name]) for name in ("train", "test")):
        return None
    joined = events.merge(rows[["subject_id", "prediction"]], on="subject_id")
    before = joined[joined["time"] <= joined["prediction"]]
    birth = before[before["code"].eq("MEDS_BIRTH") | (before["code"] == "SNOMED/3950001")]
    recent = pd.concat([birth.assign(code="MEDS_BIRTH"), before.groupby("subject_id").tail(RECENT)])
    table = recent.drop(columns="prediction").sort_values(["subject_id", "time"], kind="stable").drop_duplicates()
    stamped = table.assign(time=table["time"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    events_file = write_table(stamped[["subject_id", "time", "code", "numeric_value"]], folder, f"{origin.block}/{spec.name}",
                              "events")
    description = (f"Longitudinal health records as coded events (EHRSHOT). events.csv: subject_id, time, code, numeric_value: "
                   f"the last {RECENT} events of each patient up to the prediction time. train.csv and tuning.csv: subject_id, "
                   "prediction_time, label" + ("s" if kind == "labels" else "") + "; test.csv: the same without it. One row "
                   "per patient.")
    return Problem(name=spec.name, category=spec.category, kind=kind, names=names, question=spec.asks[0], description=description,
                   rows=pd.DataFrame({"subject_id": rows["subject_id"].to_numpy(),
                                      "prediction_time": rows["prediction"].dt.strftime("%Y-%m-%d %H:%M:%S").to_numpy()}),
                   labels=labels, part=part, tables=(events_file,),
                   programs=reference_programs("events", kind, "subject_id", _CODE_SHARE),
                   hints={"columns": {"events": ["subject_id", "time", "code"]}})
