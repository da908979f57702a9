"""Patients of the twin and their hospital stays: who they are, when they were in, what they had.

Promises: seeded and deterministic; stays of a patient do not overlap and lie between 2100 and EHRSQL's "now"; chronic diagnoses
come back at the next stay; some patients are in hospital now (no discharge time); nobody is admitted after death.
Times are whole minutes since 2100-01-01. Does not cover: what was measured and given (`events`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from env.datasets.mimic_iii.vocab import DIAGNOSES
from env.datasets.mimic_iii.vocab_items import CAREUNITS, WARDS

DAY = 24 * 60
EPOCH = np.datetime64("2100-01-01T00:00", "m")
NOW = int((np.datetime64("2105-12-31T23:59", "m") - EPOCH).astype(int))
CURRENT_SHARE = 0.08
"""Share of patients who are in hospital now."""
_OF_AGE = {"4019", "42731", "4280", "41401", "2724", "2720", "5859", "496", "73300", "412", "4241", "4240", "82021", "2449"}
"""Codes that grow more frequent with age."""
_CHRONIC = _OF_AGE | {"25000", "53081", "311", "2749", "5715", "49390", "32723", "40390", "3572", "v420", "4439"}

Care = tuple[int, "int | None", str, int]
"""(start, end, care unit, ward)."""


@dataclass
class Stay:
    """One hospital admission."""

    patient: int
    """Index of the patient."""
    hadm_id: int
    admit: int
    discharge: int | None
    age: int
    diagnoses: list[int]
    kind: str = "emergency"
    origin: str = "emergency room admit"
    destination: str | None = None
    insurance: str = "medicare"
    icu: list[Care] = field(default_factory=list)
    icu_ids: list[int] = field(default_factory=list)

    @property
    def end(self) -> int:
        """Discharge, or now."""
        return NOW if self.discharge is None else self.discharge


@dataclass
class Person:
    """One patient."""

    subject_id: int
    gender: str
    birth: int
    """Minutes since 2100-01-01 (negative), midnight."""
    ethnicity: str
    language: str | None
    marital: str | None
    death: int | None = None


@dataclass
class Population:
    """Everyone in one database."""

    people: list[Person]
    stays: list[Stay]


def make_population(rng: np.random.Generator, patients: int, part: int) -> Population:
    """`patients` patients and their stays. `part` (0 or 1) selects disjoint id ranges: the two never share an id."""
    subject_ids = rng.choice(np.arange(10_000 + part, 100_000, 2), size=patients, replace=False)
    hadm_ids = iter(rng.permutation(np.arange(100_000 + part, 200_000, 2)).tolist())
    icu_ids = iter(rng.permutation(np.arange(200_000 + part, 300_000, 2)).tolist())
    population = Population([], [])
    for index, subject_id in enumerate(sorted(subject_ids.tolist())):
        person, stays = _life(rng, index, subject_id, current=rng.random() < CURRENT_SHARE)
        for stay in stays:
            stay.hadm_id = next(hadm_ids)
            stay.icu = _icu(rng, stay)
            stay.icu_ids = [next(icu_ids) for _ in stay.icu]
        population.people.append(person)
        population.stays.extend(stays)
    return population


def _pick(rng: np.random.Generator, options: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return options[int(rng.choice(len(options), p=np.array(weights) / sum(weights)))]


def _life(rng: np.random.Generator, index: int, subject_id: int, *, current: bool) -> tuple[Person, list[Stay]]:
    age = int(np.clip(rng.normal(63, 16), 18, 88))
    ethnicity = _pick(rng, ("white", "black/african american", "hispanic or latino", "asian", "unknown/not specified", "other"),
                      (68, 11, 6, 5, 6, 4))
    language = _pick(rng, ("engl", "span", "russ", "mand", "port", ""), (62, 6, 4, 3, 3, 22)) or None
    single = age < 35
    marital = _pick(rng, ("married", "single", "widowed", "divorced", "separated"),
                    (25, 60, 1, 10, 4) if single else (50, 21, 0.4 * max(0, age - 40), 9, 2))
    count = 1 + min(6, int(rng.geometric(0.55)) - 1)
    starts = _starts(rng, count, current)
    birth = (starts[0] // DAY - int(age * 365.25) - int(rng.integers(0, 364))) * DAY
    person = Person(subject_id, _pick(rng, ("m", "f"), (55, 45)), birth, ethnicity, language, marital)
    stays: list[Stay] = []
    earlier: list[int] = []
    for number, start in enumerate(starts):
        years = int((start - birth) / (365.25 * DAY))
        last = number == len(starts) - 1
        stay = _stay(rng, index, start, years, earlier, open_end=current and last,
                     limit=NOW if last else starts[number + 1] - DAY)
        stays.append(stay)
        earlier = [d for d in stay.diagnoses if DIAGNOSES[d].code in _CHRONIC]
        if stay.destination == "dead/expired":
            person.death = (stay.end // DAY) * DAY
            return person, stays
    if not current and rng.random() < 0.12:
        day = stays[-1].end // DAY + int(rng.exponential(300)) + 1
        person.death = day * DAY if day * DAY < NOW else None
    return person, stays


def _starts(rng: np.random.Generator, count: int, current: bool) -> list[int]:
    """Admission times, oldest first, at least 12 days apart."""
    latest = NOW - int(rng.integers(2 * DAY, 12 * DAY)) if current else int(rng.integers(400 * DAY, NOW - 30 * DAY))
    starts = [latest]
    for _ in range(count - 1):
        start = starts[-1] - 12 * DAY - int(rng.exponential(260 * DAY))
        if start < 20 * DAY:
            break
        starts.append(start)
    return starts[::-1]


def _stay(rng: np.random.Generator, patient: int, start: int, age: int, earlier: list[int], *, open_end: bool,
          limit: int) -> Stay:
    diagnoses = _diagnose(rng, age, earlier)
    emergency = rng.random()
    kind = "emergency" if emergency < 0.82 else "elective" if emergency < 0.95 else "urgent"
    origin = ("phys referral/normal deli" if kind == "elective" else
              _pick(rng, ("emergency room admit", "transfer from hosp/extram", "clinic referral/premature"), (60, 25, 15)))
    insurance = "medicare" if age >= 65 and rng.random() < 0.85 else _pick(
        rng, ("private", "medicaid", "government", "self pay"), (62, 25, 8, 5))
    risk = min(0.5, sum(DIAGNOSES[d].mortality for d in diagnoses))
    length = int(np.clip(rng.lognormal(1.75 + 0.06 * len(diagnoses), 0.6), 1, 40) * DAY)
    end = min(start + length, limit)
    stay = Stay(patient, 0, start, None if open_end else end, age, diagnoses, kind, origin, None, insurance)
    if not open_end:
        home = _pick(rng, ("home", "home health care", "snf", "rehab/distinct part hosp", "hospice-home",
                           "long term care hospital"), (34, 30, 18, 13, 2, 3))
        stay.destination = "dead/expired" if rng.random() < risk else home
    return stay


def _diagnose(rng: np.random.Generator, age: int, earlier: list[int]) -> list[int]:
    weights = np.array([d.weight * (age / 63) ** 2 if d.code in _OF_AGE else d.weight for d in DIAGNOSES])
    count = int(np.clip(rng.poisson(5), 2, 11))
    kept = [d for d in earlier if rng.random() < 0.85]
    drawn = rng.choice(len(DIAGNOSES), size=count, replace=False, p=weights / weights.sum()).tolist()
    return list(dict.fromkeys(kept + drawn))


def _icu(rng: np.random.Generator, stay: Stay) -> list[Care]:
    """Up to two stays in intensive care; an open one when the patient lies there now."""
    if rng.random() < 0.2:
        return []
    unit, wards = CAREUNITS[int(rng.choice(len(CAREUNITS), p=(0.4, 0.15, 0.15, 0.2, 0.1)))]
    length = stay.end - stay.admit
    start = stay.admit + int(rng.integers(5, max(6, min(600, length // 3))))
    end = start + max(120, int((stay.end - start) * rng.uniform(0.25, 0.7)))
    ward = int(wards[int(rng.integers(len(wards)))])
    if stay.discharge is None and rng.random() < 0.6:
        return [(start, None, unit, ward)]
    end = min(end, stay.end - 30)
    first: Care = (start, end, unit, ward)
    rest = stay.end - end
    if rest < 2 * DAY or rng.random() > 0.15:
        return [first]
    again = end + int(rest * 0.3)
    return [first, (again, again + int(rest * 0.4), unit, ward)]


def ward_of(rng: np.random.Generator) -> int:
    """A normal ward."""
    return int(WARDS[int(rng.integers(len(WARDS)))])
