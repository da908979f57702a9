"""Which filter kept what: rows in and out of every step, with the reasons of what was dropped.

Promises: the steps are in the order in which they were done; what one hands out, less what another kind of thing (pairs of
episodes) is made of it, goes into the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class Filter(BaseModel):
    """One step."""

    model_config = ConfigDict(extra="forbid")
    name: str
    unit: str = "episodes"
    """What is counted: episodes, tasks or pairs."""
    rows_in: int
    rows_out: int
    dropped: dict[str, int] = {}
    """By reason."""

    def __str__(self) -> str:
        why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.dropped.items()))
        return f"{self.name}: {self.rows_in:,} -> {self.rows_out:,} {self.unit}" + (f" ({why})" if why else "")


class Funnel:
    """The steps of one export."""

    def __init__(self) -> None:
        self.filters: list[Filter] = []

    @property
    def skipped(self) -> Counter[str]:
        """What was left out, by reason, all steps together."""
        return sum((Counter(step.dropped) for step in self.filters), Counter())

    def keep(self, name: str, items: Iterable[T], reason: Callable[[T], str], unit: str = "episodes") -> list[T]:
        """The items for which `reason` is empty, in their order; it is asked once for each, in that order."""
        given = list(items)
        dropped: Counter[str] = Counter()
        kept = []
        for item in given:
            if why := reason(item):
                dropped[why] += 1
            else:
                kept.append(item)
        self.add(name, len(given), len(kept), dropped, unit)
        return kept

    def add(self, name: str, rows_in: int, rows_out: int, dropped: Mapping[str, int], unit: str = "episodes") -> None:
        """Note a step that was done elsewhere."""
        self.filters.append(Filter(name=name, unit=unit, rows_in=rows_in, rows_out=rows_out, dropped=dict(dropped)))
