"""Real hourly ICU data as tasks: cohorts of YAIB's shape, or MIMIC-Extract's tables as CSV.

Promises: two layouts. A cohort is a folder with `dyn` (stay_id, time, variables), `sta` (stay_id, facts) and `outc` (stay_id,
label, or stay_id, time, label) as Parquet or CSV, anywhere below the source. MIMIC-Extract: `vitals_labs_mean.csv`,
`patients.csv` (or `static_data.csv`) and, for interventions, `interventions.csv`. Programs see the first 24 hours; patients
(stays, where a cohort does not say whose they are) are split 60/10/30. What cannot be told from chance, and every stay that is
left out, is in `baselines.json`. A missing or malformed file is a `UserError` that names file, field and cure.
Does not cover: HDF5 (its reader is no dependency of ours: export the tables to CSV), labels that are quantities.
Sources: github.com/rvandewater/YAIB; github.com/MLforHealth/MIMIC_Extract.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from env.datasets.base import BuildRequest, Progress
from env.datasets.mimic_extract.stays import GAP, HOURS
from env.datasets.prediction.problem import Origin, Problem, split_rows, usable, write_table
from env.datasets.prediction.programs import reference_programs
from env.datasets.prediction.report import Baselines
from env.errors import UserError
from env.task import Task

LICENCE = "data-use agreement of the ICU cohort's database"
"""A cohort does not say whose it is, and all but those made of the demos are credentialed."""
SHARES = (0.6, 0.1, 0.3)
FACTS = ("age", "gender", "ethnicity", "admission_type", "first_careunit", "insurance")
ENDINGS = (".parquet", ".csv", ".csv.gz")
_HDF5 = ("*.h5", "*.hdf", "*.hdf5")
_CATEGORIES = {"mort": "Mortality", "los": "Length of stay", "vent": "Intervention", "vaso": "Intervention", "aki": "Organ failure",
               "sepsis": "Organ failure"}
_ASKS = {
    "mortality24": "Will the patient die in the ICU (label 1)?",
    "aki": f"Will the patient develop acute kidney injury after hour {HOURS} of the ICU stay (label 1)? Nobody has by then.",
    "sepsis": f"Will the patient develop sepsis after hour {HOURS} of the ICU stay (label 1)? Nobody has by then.",
    "mort_hosp": "Will the patient die during this hospital admission (label 1)?",
    "mort_icu": "Will the patient die in the ICU (label 1)?",
    "los_3": "Will the ICU stay last more than 3 days in all (label 1)?",
    "los_7": "Will the ICU stay last more than 7 days in all (label 1)?",
    "vaso": f"Will a vasopressor run at hour {HOURS + GAP} (label 1)?",
    "vent": f"Will mechanical ventilation run at hour {HOURS + GAP} (label 1)?"}


class Cohort:
    """Stays with their first day, and one or more outcomes."""

    def __init__(self, name: str, dynamic: pd.DataFrame, static: pd.DataFrame) -> None:
        """`dynamic`: `stay_id`, `hour`, variables; `static`: `stay_id`, facts (and `patient`, where known)."""
        self.name = name
        self.dynamic = dynamic[(dynamic["hour"] >= 0) & (dynamic["hour"] < HOURS)]
        self.static = static
        self.outcomes: dict[str, pd.Series] = {}
        """Name -> 0 or 1 by stay_id; stays without an entry are left out."""
        self.left_out: dict[str, int] = {}


def adapt_source(request: BuildRequest, folder: Path, progress: Progress) -> Iterator[Task]:
    """Tasks of all cohorts below the source.

    Raises:
        UserError: there is none, a file is malformed, or no task can be graded.
    """
    assert request.source is not None
    source = request.source
    if request.options:
        raise UserError(f"mimic_extract: unknown option {sorted(request.options)[0]!r}; a real source has none")
    if not source.is_dir():
        raise UserError(f"mimic_extract: source {source} is not a folder: give a folder with ICU cohorts or MIMIC-Extract's tables")
    cohorts = [read_cohort(place, source) for place in cohort_folders(source)]
    if not cohorts and _table(source, "vitals_labs_mean"):
        cohorts = [read_extract(source)]
    if not cohorts:
        raise UserError(_nothing(source))
    report = Baselines(folder, progress, sum(len(cohort.outcomes) for cohort in cohorts))
    report.notes = {"left_out": {cohort.name: cohort.left_out for cohort in cohorts}}
    for cohort in cohorts:
        yield from _tasks(cohort, request.seed, folder, report)
    report.write()
    if not report.tasks:
        raise UserError("mimic_extract: no task of this source can be graded: "
                        + "; ".join(f"{row['task']}: {row['reason']}" for row in report.quarantined))


def _nothing(source: Path) -> str:
    if any(next(source.rglob(pattern), None) for pattern in _HDF5):
        return (f"mimic_extract: {source} holds HDF5 files, which are not read: export the tables with pandas.read_hdf(FILE, TABLE)"
                ".to_csv(TABLE + '.csv') for TABLE in patients, vitals_labs_mean and interventions, and give the CSV files' folder")
    if next(source.rglob("X_lab_*.pkl"), None):
        return (f"mimic_extract: {source} is the released gym's folder: its tables are pickles, which are never loaded: give a "
                "folder with MIMIC-Extract's tables as CSV")
    return (f"mimic_extract: no cohort in {source}: put folders with dyn, sta and outc (Parquet or CSV) there, or MIMIC-Extract's "
            "vitals_labs_mean.csv, patients.csv and interventions.csv")


def _table(place: Path, name: str) -> Path | None:
    return next((place / (name + ending) for ending in ENDINGS if (place / (name + ending)).is_file()), None)


def cohort_folders(source: Path) -> list[Path]:
    """Folders with dynamic data and outcomes, sorted."""
    places = {path.parent for path in source.rglob("dyn.*")}
    return sorted(place for place in places if _table(place, "dyn") and _table(place, "outc"))


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, low_memory=False)
    except Exception as error:  # whatever the library raises for a torn file
        raise UserError(f"{path} cannot be read ({type(error).__name__}: {str(error)[:120]}): fetch it again") from None
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserError(f"{path}: column {missing[0]!r} is missing: it must have {', '.join(columns)}")
    return frame


def _hours(column: pd.Series, path: Path) -> NDArray[np.int64]:
    """Whole hours since admission from durations, texts of durations or numbers."""
    try:
        if pd.api.types.is_numeric_dtype(column):
            return np.asarray(np.floor(column.to_numpy(dtype=float)), dtype=np.int64)
        return np.asarray((pd.to_timedelta(column) // pd.Timedelta(hours=1)).to_numpy(), dtype=np.int64)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: column 'time' must hold hours or durations since admission ({str(error)[:100]})") from None


def read_cohort(place: Path, source: Path) -> Cohort:
    """One cohort; hourly labels become: does any come after the first day, among stays without one before.

    Raises:
        UserError: a file is malformed.
    """
    paths = {name: _table(place, name) for name in ("dyn", "sta", "outc")}
    if paths["sta"] is None:
        raise UserError(f"{place}/sta.parquet is missing: a cohort has dyn, sta and outc")
    assert paths["dyn"] is not None
    assert paths["outc"] is not None
    dynamic = _read(paths["dyn"], ("stay_id", "time"))
    dynamic.insert(1, "hour", _hours(dynamic.pop("time"), paths["dyn"]))
    static = _read(paths["sta"], ("stay_id",))
    outcome = _read(paths["outc"], ("stay_id", "label"))
    labels = pd.to_numeric(outcome["label"].astype(float) if outcome["label"].dtype == bool else outcome["label"], errors="coerce")
    name = "_".join(place.relative_to(source).parts) or source.name
    cohort = Cohort(name, dynamic, static)
    if not labels.isin([0, 1]).all():
        raise UserError(f"{paths['outc']}: column 'label' must be 0 or 1 in every row: leave this cohort out (no quantities)")
    if "time" not in outcome.columns:
        repeated = outcome["stay_id"].duplicated()
        cohort.outcomes[name] = labels[~repeated].set_axis(outcome["stay_id"][~repeated])
        cohort.left_out = {"further_rows_of_a_stay": int(repeated.sum())}
        return cohort
    hour = _hours(outcome["time"], paths["outc"])
    early = outcome["stay_id"][(labels == 1) & (hour < HOURS)].unique()
    late = labels.where(hour >= HOURS).groupby(outcome["stay_id"]).max()  # missing: no label after the first day
    keep = late.notna() & ~late.index.isin(early)
    cohort.outcomes[name] = late[keep]
    cohort.left_out = {"outcome_in_the_first_day": len(early),
                       "shorter_than_a_day": int((late.isna() & ~late.index.isin(early)).sum())}
    return cohort


def read_extract(source: Path) -> Cohort:
    """MIMIC-Extract's tables; stays of less than 30 hours are left out, as in its benchmark.

    Raises:
        UserError: a table is missing or malformed.
    """
    hourly_path, people_path = _table(source, "vitals_labs_mean"), _table(source, "patients") or _table(source, "static_data")
    if people_path is None:
        raise UserError(f"mimic_extract: {source}/patients.csv is missing: export the table `patients` beside vitals_labs_mean.csv")
    assert hourly_path is not None
    hourly = _read(hourly_path, ("icustay_id", "hours_in"))
    if not pd.api.types.is_numeric_dtype(hourly["hours_in"]):
        raise UserError(f"{hourly_path}: column 'hours_in' is not numeric: write the table with one header line "
                        "(frame.columns = frame.columns.get_level_values(0) before to_csv)")
    people = _read(people_path, ("subject_id", "icustay_id", "mort_hosp", "mort_icu", "los_icu"))
    hourly = hourly.rename(columns={"icustay_id": "stay_id", "hours_in": "hour"})
    hourly = hourly.drop(columns=["subject_id", "hadm_id"], errors="ignore")
    treated_path = _table(source, "interventions")
    states: dict[str, pd.Series] = {}
    if treated_path is not None:
        treated = _read(treated_path, ("icustay_id", "hours_in", "vent", "vaso"))
        treated = treated.rename(columns={"icustay_id": "stay_id", "hours_in": "hour"})
        at = treated[treated["hour"] == HOURS + GAP].drop_duplicates("stay_id").set_index("stay_id")
        states = {name: (at[name] > 0).astype(float) for name in ("vent", "vaso")}
        hourly = hourly.merge(treated[["stay_id", "hour", "vent", "vaso"]], on=["stay_id", "hour"], how="left")
    people = people.drop_duplicates("icustay_id").rename(columns={"icustay_id": "stay_id", "subject_id": "patient"})
    long = people[people["los_icu"] * 24 >= HOURS + GAP].set_index("stay_id")
    facts = [name for name in FACTS if name in people.columns]
    cohort = Cohort("mimic_extract", hourly, people[["stay_id", "patient", *facts]])
    cohort.left_out = {"shorter_than_30_hours": len(people) - len(long)}
    cohort.outcomes = {"mort_hosp": (long["mort_hosp"] > 0).astype(float), "mort_icu": (long["mort_icu"] > 0).astype(float),
                       "los_3": (long["los_icu"] > 3).astype(float), "los_7": (long["los_icu"] > 7).astype(float),
                       **{name: state[state.index.isin(long.index)] for name, state in states.items()}}
    return cohort


def _tasks(cohort: Cohort, seed: int, folder: Path, report: Baselines) -> Iterator[Task]:
    origin = Origin("mimic_extract", "test", "official", LICENCE, "mimic_extract-cohort", seed, cohort.name)
    for name, outcome in cohort.outcomes.items():
        problem = _problem(cohort, name, outcome, seed, folder)
        if problem is None:
            report.refuse(name, f"{len(outcome)} stays with {outcome.sum():.0f} outcomes are too few")
            continue
        task = report.make(problem, origin)
        if task is not None:
            yield task


def _problem(cohort: Cohort, name: str, outcome: pd.Series, seed: int, folder: Path) -> Problem | None:
    """The problem with its tables written; None where outcomes are too few."""
    seen = outcome.index.isin(cohort.dynamic["stay_id"].unique()) & outcome.index.isin(cohort.static["stay_id"])
    known = outcome[seen].sort_index()
    ids, labels = known.index.to_numpy(), known.to_numpy(dtype=float)[:, None]
    part = _parts(cohort, ids, labels[:, 0], seed)
    if not all(usable(labels[part == which]) for which in ("train", "test")):
        return None
    place, static = f"{cohort.name}/{name}", cohort.static.drop(columns="patient", errors="ignore")
    tables = (write_table(cohort.dynamic[cohort.dynamic["stay_id"].isin(ids)], folder, place, "hourly"),
              write_table(static[static["stay_id"].isin(ids)], folder, place, "static"))
    start = name.partition("_")[0]
    ask = _ASKS.get(name) or _ASKS.get(start) or f"Predict the outcome {name} of each stay (label 1)."
    category = next((title for key, title in _CATEGORIES.items() if name.startswith(key)), "Outcome")
    return Problem(name=name, category=category, kind="binary", names=(name,),
                   question=f"{ask} Predict from the first {HOURS} hours.", description=_description(cohort),
                   rows=pd.DataFrame({"stay_id": ids}),
                   labels=labels, part=part,
                   tables=tables,
                   programs=reference_programs("hourly", "binary", "stay_id", boosted=True),
                   hints={"columns": {"hourly": ["stay_id", "hour"]}})


def _parts(cohort: Cohort, ids: NDArray[np.int64], labels: NDArray[np.float64], seed: int) -> NDArray[np.str_]:
    """By patient where patients are known; else by stay, with outcomes spread evenly."""
    rng = np.random.default_rng([seed, *cohort.name.encode()])
    if "patient" in cohort.static.columns:
        owner = cohort.static.drop_duplicates("stay_id").set_index("stay_id")["patient"].reindex(ids)
        people = np.sort(owner.unique())
        part = dict(zip(people.tolist(), split_rows(rng, len(people), SHARES).tolist(), strict=True))
        return np.array([part[person] for person in owner.tolist()])
    parts = np.empty(len(ids), dtype="<U6")
    for value in (0.0, 1.0):
        parts[labels == value] = split_rows(rng, int((labels == value).sum()), SHARES)
    return parts


def _description(cohort: Cohort) -> str:
    facts = ", ".join(name for name in cohort.static.columns if name != "patient")
    return (f"Hourly ICU data. hourly.csv: stay_id, hour (0 to {HOURS - 1} since ICU admission), the value of each vital sign and "
            f"laboratory result in that hour (empty where there was none). static.csv: {facts}. train.csv and tuning.csv: "
            f"stay_id, label; test.csv: stay_id. Split 60/10/30 by {'patient' if 'patient' in cohort.static.columns else 'stay'}.")
