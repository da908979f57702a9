"""What a twin asks of the answers of its questions: cells in plain form, none on an edge, none too often.

Does not cover: which questions are asked (a dataset's `tasks`) and how answers are graded (`rewards.ehr_answer`).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rewards.values import as_number, as_text

ANSWER_CAP = 0.045
"""Largest share of one answer in a split; the promise is 0.05."""


@dataclass
class Quota:
    """What a split has already used up."""

    size: int
    answers: Counter[str] = field(default_factory=Counter)
    questions: set[str] = field(default_factory=set)

    def admits(self, answer: str) -> bool:
        return self.answers[answer] < max(1, math.floor(ANSWER_CAP * self.size))


def answer_key(reference: Any, args: dict[str, Any]) -> str:
    """One text per answer that the strict grader would not tell apart (yes and 1 are the same constant)."""
    if args.get("impossible"):
        return "abstain"
    cells = [[as_number(cell) if as_number(cell) is not None else as_text(str(cell)) for cell in row] for row in reference]
    return json.dumps(sorted(cells, key=str))


def tidy(rows: list[list[Any]]) -> list[list[Any]]:
    """Float noise away: 0.30000000000000004 is 0.3."""
    return [[round(cell, 9) if isinstance(cell, float) else cell for cell in row] for row in rows]


def plain(value: Any) -> Any:
    """A number of numpy as a plain one."""
    return value.item() if hasattr(value, "item") else value


def on_edge(value: float, decimals: int) -> bool:
    """Whether rounding could go either way, or the value is not a number."""
    if not math.isfinite(value):
        return True
    scaled = abs(value) * 10**decimals
    return bool(abs(scaled - math.floor(scaled) - 0.5) < 1e-4)
