"""No constant may be right too often: the chance level of the twin, kept and measured.

Promises: `Balance.admits` refuses a task whose answer would push some constant over the cap; `largest_share` measures, exactly, the
largest share of tasks that one fixed answer satisfies, tolerance included.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from env.datasets.medcalcbench.calculator import TOLERANCE, Answer

LIMIT = 0.05
"""Largest share of a split that one fixed answer may satisfy."""
_TARGET = 0.042
_STEP = math.log(1.01)
_SMALL = 3
"""Tiny builds may repeat an answer this often: five percent of thirty tasks is one."""


def span(answer: Answer, output: str) -> tuple[float, float] | None:
    """Constants that would count as right; None when only the same text or list does."""
    if isinstance(answer, str | list):
        return None
    if output == "integer":
        # Rounding is half-to-even: n.5 belongs to the even neighbour.
        half = 0.5 if answer % 2 == 0 else 0.5 - 1e-9
        return answer - half, answer + half
    low, high = sorted((answer * (1 - TOLERANCE), answer * (1 + TOLERANCE)))
    return low, high


def _cells(answer: Answer, output: str) -> list[tuple[int, int] | str]:
    """Points of a logarithmic grid inside the span (and the answer itself, for dates and ages)."""
    bounds = span(answer, output)
    if bounds is None:
        return [str(answer)]
    cells: list[tuple[int, int] | str] = []
    for sign, low, high in ((1, *bounds), (-1, -bounds[1], -bounds[0])):
        if high > 0.01:
            first = math.ceil(math.log(max(low, 0.01)) / _STEP)
            cells += [(sign, k) for k in range(first, math.floor(math.log(high) / _STEP) + 1)]
    return cells or ["0"]


class Balance:
    """Running counts of one slice of `total` tasks."""

    def __init__(self, total: int) -> None:
        self.cap = max(_SMALL, int(_TARGET * total))
        self._counts: Counter[tuple[int, int] | str] = Counter()

    def admits(self, answer: Answer, output: str) -> bool:
        """Count the answer and return True, or return False when some constant has had its share."""
        cells = _cells(answer, output)
        if any(self._counts[cell] >= self.cap for cell in cells):
            return False
        self._counts.update(cells)
        return True


def largest_share(answers: Iterable[tuple[Answer | None, str]]) -> tuple[float, str]:
    """Largest share of tasks that one fixed answer satisfies, and that answer.

    Args:
        answers: (answer, output type) of every task; None marks a task on which abstaining is right (no constant is).
    """
    edges: list[tuple[float, int]] = []
    texts: Counter[str] = Counter()
    total = 0
    for answer, output in answers:
        total += 1
        if answer is None:
            continue
        bounds = span(answer, output)
        if bounds is None:
            texts[str(answer)] += 1
        else:
            edges += [(bounds[0], -1), (bounds[1], 1)]
    best, where = (texts.most_common(1) or [("", 0)])[0][::-1]
    open_now = 0
    for value, kind in sorted(edges):
        open_now -= kind
        if open_now > best:
            best, where = open_now, f"{value:.4g}"
    return (best / total if total else 0.0), where
