"""What was measured, given and charged during the stays of the twin, as rows of the event tables.

Promises: laboratory values follow the diagnoses (a shift per diagnosis, a patient's own level, noise), drugs and procedures come
from the diagnoses, cultures grow organisms in infections; a patient's measurements of one item never share a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from env.datasets.mimic_iii.people import DAY, EPOCH, NOW, Population, Stay, ward_of
from env.datasets.mimic_iii.vocab import COMMON_DRUGS, COMMON_PROCEDURES, DIAGNOSES, DRUGS, PROCEDURES
from env.datasets.mimic_iii.vocab_items import (
    BODY,
    INTAKES,
    LABS,
    ORGANISMS,
    OUTPUTS,
    SPECIMENS,
    VITALS,
    Measured,
)

_DRUG = {drug.name: drug for drug in DRUGS}
_CODE = {short: code for code, short, _ in PROCEDURES}
Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def time_text(minutes: Any) -> list[str | None]:
    """`YYYY-MM-DD HH:MM:SS` of minutes since 2100; None stays None."""
    values = np.asarray([0 if m is None else m for m in minutes], dtype="int64")
    text = np.datetime_as_string((EPOCH + values).astype("datetime64[s]"), unit="s").tolist()
    return [None if m is None else t.replace("T", " ") for m, t in zip(minutes, text, strict=True)]


def _frame(columns: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    frame.insert(0, "row_id", np.arange(len(frame)))
    return frame


def _ids(population: Population, stays: list[int]) -> dict[str, Any]:
    return {"subject_id": [population.people[population.stays[s].patient].subject_id for s in stays],
            "hadm_id": [population.stays[s].hadm_id for s in stays]}


def diagnoses_icd(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """Coded at admission, a few hours after it."""
    stays, codes, times = [], [], []
    for s, stay in enumerate(population.stays):
        for d in stay.diagnoses:
            stays.append(s)
            codes.append(DIAGNOSES[d].code)
            times.append(min(stay.admit + int(rng.integers(0, 600)), stay.end))
    return _frame({**_ids(population, stays), "icd9_code": codes, "charttime": time_text(times)})


def procedures_icd(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """Procedures that go with the diagnoses, and common ones."""
    stays, codes, times = [], [], []
    for s, stay in enumerate(population.stays):
        fitting = [p for d in stay.diagnoses for p in DIAGNOSES[d].procedures if rng.random() < 0.3]
        common = [p for p in COMMON_PROCEDURES if rng.random() < 0.14]
        for short in dict.fromkeys(fitting + common):
            for _ in range(1 + (rng.random() < 0.2)):
                stays.append(s)
                codes.append(_CODE[short])
                times.append(int(rng.integers(stay.admit, stay.end)))
    return _frame({**_ids(population, stays), "icd9_code": codes, "charttime": time_text(times)})


def prescriptions(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """Drugs that go with the diagnoses, and common ones; a drug may be ordered again with another dose."""
    stays, drugs, doses, starts, ends = [], [], [], [], []
    for s, stay in enumerate(population.stays):
        fitting = [name for d in stay.diagnoses for name in DIAGNOSES[d].drugs if rng.random() < 0.55]
        common = [name for name in COMMON_DRUGS if rng.random() < 0.28]
        days = max(1, (stay.end - stay.admit) // DAY)
        for name in dict.fromkeys(fitting + common):
            day = int(rng.integers(0, days))
            for _ in range(1 + int(rng.random() < 0.35) + int(rng.random() < 0.15)):
                if day > days:
                    break
                stays.append(s)
                drugs.append(_DRUG[name])
                doses.append(str(_DRUG[name].doses[int(rng.integers(len(_DRUG[name].doses)))]))
                starts.append((stay.admit // DAY + day) * DAY)
                day += int(rng.integers(1, 4))
                ends.append(min((stay.admit // DAY + day) * DAY, stay.end // DAY * DAY))
    return _frame({**_ids(population, stays), "startdate": time_text(starts), "enddate": time_text(ends),
                   "drug": [d.name for d in drugs], "dose_val_rx": doses, "dose_unit_rx": [d.unit for d in drugs],
                   "route": [d.route for d in drugs]})


def _values(rng: np.random.Generator, items: tuple[Measured, ...], which: Ints, level: Floats) -> Floats:
    mean, sd, low = (np.array([getattr(item, name) for item in items])[which] for name in ("mean", "sd", "low"))
    raw = mean + sd * (level + 0.7 * rng.standard_normal(len(which)))
    high = np.where(np.array([item.unit == "%" for item in items])[which], 100.0, np.inf)
    values = np.clip(raw, low, high)
    digits = np.array([item.decimals for item in items])[which]
    return np.array([round(v, d) for v, d in zip(values.tolist(), digits.tolist(), strict=True)])


def labevents(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """Blood draws over each stay; each draw measures a part of the list."""
    shift = np.zeros((len(population.stays), len(LABS)))
    position = {lab.label: j for j, lab in enumerate(LABS)}
    own = 0.5 * rng.standard_normal((len(population.people), len(LABS)))
    frequency = np.array([lab.frequency for lab in LABS])
    stays, items, times = [], [], []
    for s, stay in enumerate(population.stays):
        shift[s] = own[stay.patient]
        for d in stay.diagnoses:
            for label, amount in DIAGNOSES[d].labs:
                shift[s, position[label]] += amount
        days = (stay.end - stay.admit) / DAY
        draws = np.unique(rng.integers(stay.admit, stay.end, size=int(np.clip(1 + 0.6 * days, 2, 5))))
        # Unusual values are followed up: what a diagnosis shifts is measured more often.
        chance = np.clip(frequency + 0.35 * (np.abs(shift[s] - own[stay.patient]) > 0.9), 0, 0.95)
        taken = rng.random((len(draws), len(LABS))) < chance
        row, column = np.nonzero(taken)
        stays.append(np.full(len(row), s))
        items.append(column)
        times.append(draws[row])
    which, who = np.concatenate(items), np.concatenate(stays)
    values = _values(rng, LABS, which, shift[who, which])
    return _frame({**_ids(population, who.tolist()), "itemid": np.array([lab.itemid for lab in LABS])[which],
                   "charttime": time_text(np.concatenate(times).tolist()), "valuenum": values,
                   "valueuom": np.array([lab.unit for lab in LABS], dtype=object)[which]})


def _icu_hours(rng: np.random.Generator, stay: Stay, start: int, end: int | None, most: int) -> Ints:
    """Distinct whole hours inside an intensive-care stay, at least one."""
    first, last = -(-start // 60), min(stay.end, NOW if end is None else end) // 60
    hours = np.arange(first, max(first + 1, last))
    if len(hours) > most:
        hours = np.sort(rng.choice(hours, size=most, replace=False))
    return hours * 60


def _icu_rows(population: Population) -> list[tuple[int, int, int, int | None]]:
    """(stay index, icustay_id, start, end)."""
    return [(s, icu_id, start, end) for s, stay in enumerate(population.stays)
            for icu_id, (start, end, _, _) in zip(stay.icu_ids, stay.icu, strict=True)]


def chartevents(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """Vital signs at full hours in intensive care; weight and height once per stay."""
    own = 0.6 * rng.standard_normal((len(population.stays), len(VITALS)))
    frequency = np.array([vital.frequency for vital in VITALS])
    stays, icu, items, times = [], [], [], []
    body: list[tuple[int, int, int, int, float, str]] = []
    for s, icu_id, start, end in _icu_rows(population):
        hours = _icu_hours(rng, population.stays[s], start, end, 10)
        row, column = np.nonzero(rng.random((len(hours), len(VITALS))) < frequency)
        stays.append(np.full(len(row), s))
        icu.append(np.full(len(row), icu_id))
        items.append(column)
        times.append(hours[row])
        for itemid, _, unit, mean, sd in BODY:
            value = round(float(np.clip(rng.normal(mean, sd), mean * 0.5, mean * 2)), 1)
            body.append((s, icu_id, int(hours[0]), itemid, value, unit))
    who, which = np.concatenate(stays), np.concatenate(items)
    values = _values(rng, VITALS, which, own[who, which])
    return _frame({**_ids(population, who.tolist() + [b[0] for b in body]),
                   "icustay_id": np.concatenate([*icu, np.array([b[1] for b in body])]),
                   "itemid": np.concatenate([np.array([v.itemid for v in VITALS])[which], np.array([b[3] for b in body])]),
                   "charttime": time_text(np.concatenate([*times, np.array([b[2] for b in body])]).tolist()),
                   "valuenum": np.concatenate([values, np.array([b[4] for b in body])]),
                   "valueuom": [VITALS[w].unit for w in which.tolist()] + [b[5] for b in body]})


def fluids(rng: np.random.Generator, population: Population, items: tuple[tuple[int, str, float], ...],
           column: str) -> pd.DataFrame:
    """Intakes or outputs in intensive care: a few items per stay, several volumes of each (whole ml)."""
    stays, icu, itemids, times, volumes = [], [], [], [], []
    for s, icu_id, start, end in _icu_rows(population):
        chosen = rng.choice(len(items), size=int(rng.integers(2, 5)), replace=False,
                            p=(w := np.linspace(3, 1, len(items))) / w.sum())
        for j in chosen.tolist():
            itemid, _, usual = items[j]
            hours = _icu_hours(rng, population.stays[s], start, end, int(rng.integers(2, 9)))
            stays += [s] * len(hours)
            icu += [icu_id] * len(hours)
            itemids += [itemid] * len(hours)
            times += hours.tolist()
            volumes += np.round(np.clip(rng.normal(usual, usual / 3, len(hours)), 5, None) / 5).astype(int).tolist()
    return _frame({**_ids(population, stays), "icustay_id": icu, "charttime": time_text(times), "itemid": itemids,
                   column: [5.0 * v for v in volumes]})


def microbiologyevents(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """Cultures; most grow nothing unless there is an infection."""
    weights = np.array([w for _, w in SPECIMENS])
    stays, specimens, organisms, times = [], [], [], []
    for s, stay in enumerate(population.stays):
        infected = any(DIAGNOSES[d].infection for d in stay.diagnoses)
        count = int(rng.integers(2, 6)) if infected else int(rng.integers(0, 3))
        moments = np.unique(rng.integers(stay.admit, stay.end, size=count)).tolist()
        for moment in moments:
            stays.append(s)
            specimens.append(SPECIMENS[int(rng.choice(len(SPECIMENS), p=weights / weights.sum()))][0])
            grown = rng.random() < (0.75 if infected else 0.3)
            organisms.append(ORGANISMS[int(rng.integers(len(ORGANISMS)))] if grown else None)
            times.append(moment)
    return _frame({**_ids(population, stays), "charttime": time_text(times), "spec_type_desc": specimens,
                   "org_name": organisms})


def transfers(rng: np.random.Generator, population: Population) -> pd.DataFrame:
    """The way through the house: admit, wards and intensive care, discharge."""
    rows: list[tuple[int, int | None, str, str | None, int | None, int, int | None]] = []
    for s, stay in enumerate(population.stays):
        at, kind = stay.admit, "admit"
        for icu_id, (start, end, unit, ward) in zip(stay.icu_ids, stay.icu, strict=True):
            rows.append((s, None, kind, None, ward_of(rng), at, start))
            rows.append((s, icu_id, "transfer", unit, ward, start, end))
            at, kind = (stay.end if end is None else end), "transfer"
        if stay.discharge is not None:
            rows.append((s, None, kind, None, ward_of(rng), at, stay.discharge))
            rows.append((s, None, "discharge", None, None, stay.discharge, None))
        elif not stay.icu or stay.icu[-1][1] is not None:
            rows.append((s, None, kind, None, ward_of(rng), at, None))
    stays, icu, kinds, units, wards, starts, ends = (list(column) for column in zip(*rows, strict=True))
    return _frame({**_ids(population, stays), "icustay_id": pd.array(icu, dtype="Int64"), "eventtype": kinds, "careunit": units,
                   "wardid": pd.array(wards, dtype="Int64"), "intime": time_text(starts), "outtime": time_text(ends)})


__all__ = [
    "INTAKES",
    "OUTPUTS",
    "chartevents",
    "diagnoses_icd",
    "fluids",
    "labevents",
    "microbiologyevents",
    "prescriptions",
    "procedures_icd",
    "time_text",
    "transfers",
]
