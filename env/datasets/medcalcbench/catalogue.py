"""All calculators of the twin, by MedCalc-Bench id, and which of them are held out of training."""

from __future__ import annotations

from env.datasets.medcalcbench.calculator import Calculator
from env.datasets.medcalcbench.dates import DATES
from env.datasets.medcalcbench.labs import ACID_BASE, CHEMISTRY, KIDNEY
from env.datasets.medcalcbench.physical import PHYSICAL
from env.datasets.medcalcbench.scores import SCORES

CALCULATORS: dict[int, Calculator] = {one.id: one for one in (*PHYSICAL, *KIDNEY, *ACID_BASE, *CHEMISTRY, *SCORES, *DATES)}
HELD_OUT: tuple[int, ...] = (33, 57, 58, 61, 64, 66, 68)
"""Never in training; each is a small step from one that is (a target weight from the BMI, a delta ratio from a delta gap)."""

RULE_IDS = (4, 15, 16, 17, 18, 20, 21, 25, 27, 28, 29, 32, 33, 36, 43, 45, 48, 51)
"""Calculators of the real source whose answers are compared as whole numbers."""
DATE_IDS = (13, 68)
AGE_ID = 69
"""Gestational age: weeks and days."""


def seen() -> list[Calculator]:
    """Calculators of the training split and of test slice `seen`."""
    return [one for one in CALCULATORS.values() if one.id not in HELD_OUT]


def unseen() -> list[Calculator]:
    """Calculators of test slice `unseen`."""
    return [CALCULATORS[number] for number in HELD_OUT]
