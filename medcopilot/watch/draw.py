"""Small drawings out of characters: sparklines, bars, times, numbers.

Promises: pure functions of numbers; a drawing is never wider than asked for; a value that is no number draws as a gap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple


class Glyphs(NamedTuple):
    """What a terminal can show."""

    levels: str
    """Of a sparkline, lowest first."""
    full: str
    done: str
    """Of a line of progress, and what is left of it."""
    empty: str
    parts: str
    """Fractions of a full block, smallest first."""


UNICODE = Glyphs("▁▂▃▄▅▆▇█", "█", "━", "─", "▏▎▍▌▋▊▉")
ASCII = Glyphs("_.-=+*#", "#", "=", "-", "")


def glyphs(encoding: str) -> Glyphs:
    """For a terminal or file of this encoding."""
    return UNICODE if encoding.lower().replace("-", "").startswith("utf") else ASCII


def sparkline(values: Sequence[float], width: int, signs: Glyphs = UNICODE) -> str:
    """One character per bin of neighbouring values (their mean), from the lowest to the highest of them."""
    if not values or width < 1:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    bins = [_mean(values[start:end]) for start, end in itertools.pairwise(edges)]
    known = [value for value in bins if value is not None]
    if not known:
        return " " * count
    low, high = min(known), max(known)
    top = len(signs.levels) - 1

    def level(value: float) -> str:
        share = (value - low) / (high - low) if high - low > 1e-12 * max(1.0, abs(high)) else 0.0
        return signs.levels[min(top, int(share * (top + 1)))]

    return "".join(" " if value is None else level(value) for value in bins)


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def bar(share: float, width: int, signs: Glyphs = UNICODE) -> str:
    """A bar of `share` of `width` characters, in eighths where the terminal has them. Something above zero is never invisible."""
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    steps = len(signs.parts) + 1
    units = round(share * width * steps)
    if share > 0:
        units = max(1, units)
    whole, rest = divmod(units, steps)
    return signs.full * whole + (signs.parts[rest - 1] if rest else "")


def clock(seconds: float | None) -> str:
    """`0:07`, `12:30`, `3:05:00`, `2 d 04:00`; an en dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def plain(value: float) -> str:
    """About three significant digits, large numbers with thousands separated."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return "0" if value == 0 else f"{value:.4f}" if size >= 0.001 else f"{value:.1e}"


def percent(value: float) -> str:
    """`0.5123` -> `51.2 %`."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else str(value)
