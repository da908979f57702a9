"""Tasks derived from any MEDS extract with hospital stays: long stay, ICU transfer, readmission, and five laboratory results.

Promises: labels follow EHRSHOT's definitions. One row per stay, patients split 50/10/40. A row's events are those of its own stay
(from six hours before admission) up to the prediction time, with dates shifted per row by whole days, and the number of earlier
stays: so a later stay of the same patient never tells the outcome of an earlier one. What cannot be told from chance on the test
rows is no task and is reported with its figures (`baselines.json`), as is every stay that is left out.
Does not cover: new diagnoses and X-rays, which need years of follow-up and reports.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from env.datasets.base import Progress
from env.datasets.ehrshot.vocab import CLASSED
from env.datasets.prediction.problem import Kind, Origin, Problem, split_rows, usable, write_table
from env.datasets.prediction.programs import reference_programs
from env.datasets.prediction.report import Baselines
from env.errors import UserError
from env.task import Task

LICENCE = "data-use agreement of the MEDS extract"
"""An extract does not say whose it is, and only that of the demo is known to be open."""
SHARES = (0.5, 0.1, 0.4)
CODE_SHARE = 0.15
"""Of rows in which a code occurs to become a feature of the reference models: real extracts have thousands of codes."""
BEFORE = pd.Timedelta(hours=6)
CLASS_NAMES = ("normal", "mild", "moderate", "severe")
ANALYTES: dict[str, tuple[str, ...]] = {
    # itemids of MIMIC's hospital laboratory, then LOINC
    "thrombocytopenia": ("LAB//51265//", "LOINC/777-3"), "hyperkalemia": ("LAB//50971//", "LOINC/2823-3"),
    "hypoglycemia": ("LAB//50931//", "LOINC/2345-7"), "hyponatremia": ("LAB//50983//", "LOINC/2951-2"),
    "anemia": ("LAB//51222//", "LOINC/718-7")}
_DESCRIPTION = (
    "Hospital stays as coded events (MEDS). events.csv: stay_id, time, code, numeric_value (empty where there is none), from six "
    "hours before admission up to the prediction time and no later; dates are shifted per stay, PRIOR_STAYS counts the patient's "
    "earlier stays. train.csv and tuning.csv: stay_id, prediction_time, label; test.csv: the same without the label. The patients "
    "of the three files differ.")


class Derived(NamedTuple):
    """A problem on some stays."""

    name: str
    category: str
    question: str
    stays: pd.DataFrame
    """Rows of the stays it is about, with `prediction`."""
    values: NDArray[np.float64]
    """0 or 1, or a class from 0 to 3."""
    abnormal: str = ""
    """Question to ask instead where the classes are too rare to tell apart: any abnormality."""


def derive_tasks(events: pd.DataFrame, seed: int, folder: Path, progress: Progress) -> Iterator[Task]:
    """Tasks of an extract.

    Raises:
        UserError: it has no hospital stays.
    """
    stays, notes = find_stays(events)
    patients = np.sort(stays["subject_id"].unique())
    rng = np.random.default_rng([seed, 11])
    part = dict(zip(patients.tolist(), split_rows(rng, len(patients), SHARES).tolist(), strict=True))
    stays["part"] = stays["subject_id"].map(part)
    stays["stay_id"] = rng.permutation(len(stays)) + 1
    stays["shift"] = pd.to_timedelta(rng.integers(-3650, 3650, len(stays)), unit="D")
    problems = list(_problems(events, stays))
    report = Baselines(folder, progress, len(problems))
    report.notes = {"patients": len(patients), "stays": len(stays), **notes}
    origin = Origin("ehrshot", "test", "official", LICENCE, "ehrshot-meds", seed, "meds")
    for problem in problems:
        made = _problem(problem, events, folder)
        task = report.make(made, origin) if made is not None else None
        if made is None:
            report.refuse(problem.name, f"{len(problem.values)} rows with {problem.values.astype(bool).sum():.0f} outcomes "
                          "are too few")
        elif task is None:
            shutil.rmtree(folder / "meds" / problem.name)
        else:
            yield task
    report.write()
    if not report.tasks:
        raise UserError("ehrshot: no task can be derived from this extract: "
                        + "; ".join(f"{row['task']}: {row['reason']}" for row in report.quarantined))


def find_stays(events: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Stays (`subject_id`, `admitted`, `left`, `died`, `earlier`), and how many were left out and why.

    Raises:
        UserError: there is none.
    """
    kind = events["code"].str.split("//").str[0]
    start = events[kind.isin(["HOSPITAL_ADMISSION"]) | events["code"].str.startswith("Visit/IP")].dropna(subset=["time"])
    end = events[kind == "HOSPITAL_DISCHARGE"].dropna(subset=["time"])
    if start.empty or end.empty:
        raise UserError("ehrshot: this MEDS extract has no HOSPITAL_ADMISSION and HOSPITAL_DISCHARGE events: labels of stays "
                        "cannot be derived from it")
    pairs = pd.merge_asof(start[["subject_id", "time"]].rename(columns={"time": "admitted"}).sort_values("admitted"),
                          end[["subject_id", "time", "code"]].assign(admitted=end["time"]).sort_values("admitted"),
                          on="admitted", by="subject_id", direction="forward", allow_exact_matches=False)
    known = pairs.dropna(subset=["time"]).drop_duplicates(["subject_id", "time"], keep="last")
    stays = known.rename(columns={"time": "left"}).sort_values(["subject_id", "admitted"], ignore_index=True)
    stays["died"] = stays.pop("code").str.upper().str.contains("DIED|EXPIRED|DEAD", regex=True)
    stays["earlier"] = stays.groupby("subject_id").cumcount()
    stays["next"] = stays.groupby("subject_id")["admitted"].shift(-1)
    return stays, {"admissions": len(start), "without_discharge": int(pairs["time"].isna().sum()),
                   "overlapping": len(pairs.dropna(subset=["time"])) - len(known)}


def _problems(events: pd.DataFrame, stays: pd.DataFrame) -> Iterator[Derived]:
    """All that can be asked."""
    night = stays["admitted"].dt.normalize() + pd.Timedelta(hours=23, minutes=59)
    days = (stays["left"] - stays["admitted"]).dt.total_seconds() / 86_400
    there = stays["left"] > night
    yield _derived("guo_los", "Long length of stay", "Will the stay last at least 7 days from admission to discharge (label 1)? "
                   "Predict at 23:59 on the day of admission.", stays[there], night, days >= 7)
    icu = _first_icu(events, stays)
    outside = there & ~(icu <= night)
    if icu.notna().any():
        yield _derived("guo_icu", "ICU transfer", "Will the patient come to an intensive care unit later in the stay (label 1)? "
                       "Predict at 23:59 on the day of admission; nobody has been in one by then.", stays[outside], night,
                       icu.notna())
    home = ~stays["died"]
    back = (stays["next"] - stays["left"]).between(pd.Timedelta(0), pd.Timedelta(days=30))
    leaving = stays["left"].dt.normalize() + pd.Timedelta(hours=23, minutes=59)
    back &= ~(stays["next"] <= leaving)
    yield _derived("guo_readmission", "30-day readmission", "Will the patient be admitted again within 30 days after discharge "
                   "(label 1)? Predict at 23:59 on the day of discharge.", stays[home], leaving, back)
    for name, codes in ANALYTES.items():
        found = _laboratory(events, stays, name, codes)
        if found is not None:
            yield found


def _derived(name: str, category: str, question: str, stays: pd.DataFrame, prediction: pd.Series, outcome: pd.Series) -> Derived:
    chosen = stays.assign(prediction=prediction[stays.index])
    return Derived(name, category, question, chosen, outcome[stays.index].to_numpy(dtype=float))


def _first_icu(events: pd.DataFrame, stays: pd.DataFrame) -> pd.Series:
    """First arrival in an ICU during each stay."""
    units = events.loc[events["code"].str.startswith("ICU_ADMISSION"), ["subject_id", "time"]]
    pairs = stays.reset_index()[["index", "subject_id", "admitted", "left"]].merge(units, on="subject_id")
    inside = pairs[(pairs["time"] >= pairs["admitted"]) & (pairs["time"] <= pairs["left"])]
    return inside.groupby("index")["time"].min().reindex(stays.index)


def _laboratory(events: pd.DataFrame, stays: pd.DataFrame, name: str, codes: tuple[str, ...]) -> Derived | None:
    """The class of the first result from 24 hours after admission on."""
    kind = CLASSED[name]
    values = events.loc[events["code"].str.startswith(codes), ["subject_id", "time", "numeric_value"]].dropna()
    pairs = stays.reset_index()[["index", "subject_id", "admitted", "left"]].merge(values, on="subject_id")
    inside = pairs[(pairs["time"] >= pairs["admitted"] + pd.Timedelta(hours=24)) & (pairs["time"] <= pairs["left"])]
    first = inside.sort_values("time", kind="stable").groupby("index").first()
    if first.empty:
        return None
    numbers = first["numeric_value"].to_numpy()
    worse = np.sum([(numbers > limit) if kind.rising else (numbers < limit) for limit in kind.limits], axis=0)
    limits = ", ".join(f"{limit:g}" for limit in kind.limits)
    side = "above" if kind.rising else "below"
    question = (f"Predict the first result of {kind.title} ({', '.join(codes)}) from 24 hours after admission on, one minute "
                f"before it is taken: label 0 normal, 1 mild ({side} the first of {limits}), 2 moderate (the second), 3 severe "
                "(the third).")
    abnormal = (f"Predict whether the first result of {kind.title} ({', '.join(codes)}) from 24 hours after admission on is {side} "
                f"{kind.limits[0]:g} (label 1), one minute before it is taken.")
    chosen = stays.loc[first.index].assign(prediction=first["time"] - pd.Timedelta(minutes=1))
    return Derived(f"lab_{name}", name.capitalize(), question, chosen, worse.astype(float), abnormal)


def _problem(found: Derived, events: pd.DataFrame, folder: Path) -> Problem | None:
    """The problem with its events written; None where outcomes are too few."""
    part = found.stays["part"].to_numpy()
    kind: Kind = "binary"
    names: tuple[str, ...] = (found.category,)
    question, labels = found.question, found.values[:, None]
    if found.abnormal:
        classes = np.eye(4)[found.values.astype(int)]
        kind, labels, names = "classes", classes, CLASS_NAMES
        if not all(usable(classes[part == name]) for name in ("train", "test")):
            kind, question, labels, names = "binary", found.abnormal, (found.values > 0).astype(float)[:, None], (found.category,)
    if not all(usable(labels[part == name]) for name in ("train", "test")):
        return None
    table = write_table(_events_of(found.stays, events), folder, f"meds/{found.name}", "events")
    shifted = (found.stays["prediction"] + found.stays["shift"]).dt.strftime("%Y-%m-%d %H:%M:%S")
    rows = pd.DataFrame({"stay_id": found.stays["stay_id"].to_numpy(), "prediction_time": shifted.to_numpy()})
    return Problem(name=found.name, category=found.category, kind=kind, names=names, question=question, description=_DESCRIPTION,
                   rows=rows, labels=labels, part=part, tables=(table,),
                   programs=reference_programs("events", kind, "stay_id", CODE_SHARE, boosted=True),
                   hints={"columns": {"events": ["stay_id", "time", "code"]}})


def _events_of(stays: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """What is known of each stay at its prediction time."""
    rows = stays[["subject_id", "stay_id", "admitted", "prediction", "shift", "earlier"]]
    places, owner = _slices(rows, events)
    known = events.iloc[places][["time", "code", "numeric_value"]].reset_index(drop=True)
    of_row = rows.iloc[owner].reset_index(drop=True)
    frames = [known.assign(time=known["time"] + of_row["shift"], stay_id=of_row["stay_id"])]
    facts = events[events["code"].eq("MEDS_BIRTH") | events["code"].str.startswith("GENDER")]
    person = rows.merge(facts, on="subject_id")
    birth = facts[facts["code"] == "MEDS_BIRTH"].drop_duplicates("subject_id").set_index("subject_id")["time"]
    years = ((person["admitted"] - person["subject_id"].map(birth)).dt.days / 365.25).fillna(60).astype(int)
    born = (person["admitted"] + person["shift"]).dt.normalize() - pd.to_timedelta(years * 365, unit="D")
    frames.append(person.assign(time=born))
    frames.append(rows.assign(time=rows["admitted"] + rows["shift"], code="PRIOR_STAYS",
                              numeric_value=rows["earlier"].astype(float)))
    table = pd.concat(frames, ignore_index=True)[["stay_id", "time", "code", "numeric_value"]]
    table = table.sort_values(["stay_id", "time", "code"], kind="stable").drop_duplicates()
    return table.assign(time=table["time"].dt.strftime("%Y-%m-%d %H:%M:%S"))


def _slices(rows: pd.DataFrame, events: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the events of each row (which are sorted by patient and time), and the row each belongs to."""
    subjects, times = events["subject_id"].to_numpy(), events["time"].to_numpy()
    starts, ends = (np.searchsorted(subjects, rows["subject_id"].to_numpy(), side) for side in ("left", "right"))
    firsts, lasts = (rows["admitted"] - BEFORE).to_numpy(), rows["prediction"].to_numpy()
    places, owner = [], []
    for row, (start, end, first, last) in enumerate(zip(starts, ends, firsts, lasts, strict=True)):
        own = times[start:end]
        found = np.arange(start + np.searchsorted(own, first), start + np.searchsorted(own, last, "right"))
        places.append(found)
        owner.append(np.full(len(found), row))
    return np.concatenate(places).astype(np.int64), np.concatenate(owner).astype(np.int64)
