"""Plausible mistakes in programs, for the expert's failed first tries.

Promises: the result differs from the program and fails or misleads in the way people's first tries do (a table in the singular,
a column under its everyday name, a misspelled variable). None when the program offers nothing to get wrong.
"""

from __future__ import annotations

import random
import re

# everyday name -> what people write first
_SQL = {"admissions": "admission", "patients": "patient", "prescriptions": "prescription", "labevents": "lab_events",
        "chartevents": "chart_events", "diagnoses_icd": "diagnoses", "procedures_icd": "procedures", "d_labitems": "labitems",
        "d_items": "items", "icustays": "icu_stays", "subject_id": "patient_id", "hadm_id": "admission_id", "valuenum": "value",
        "charttime": "time", "startdate": "start_date", "short_title": "title", "admittime": "admit_time",
        "dischtime": "discharge_time", "icd9_code": "icd_code", "dose_val_rx": "dose", "microbiologyevents": "microbiology"}


def misspell(source: str, language: str, rng: random.Random) -> str | None:
    """`source` with one mistake."""
    if language == "sql":
        present = sorted(name for name in _SQL if re.search(rf"\b{name}\b", source, re.IGNORECASE))
        if not present:
            return None
        name = rng.choice(present)
        return re.sub(rf"\b{name}\b", _SQL[name], source, flags=re.IGNORECASE)
    names = sorted(set(re.findall(r"\b([a-z_]\w*)\s*=(?!=)", source)))
    if not names:
        return None
    name = rng.choice(names)
    uses = [match.start() for match in re.finditer(rf"\b{re.escape(name)}\b(?!\s*=(?!=))", source)]
    if not uses:
        return None
    position = rng.choice(uses)
    wrong = name + "s" if len(name) > 1 else name.swapcase()
    return source[:position] + wrong + source[position + len(name):]
