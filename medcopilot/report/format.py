"""Numbers as a reader sees them; an en dash where there is none. Fractions come in, percent goes out."""

from __future__ import annotations


def percent(value: float | None, digits: int = 1) -> str:
    """`0.5` -> `50.0 %`, with a space that does not break."""
    return "–" if value is None else f"{100 * value:.{digits}f}\u00a0%"


def points(value: float | None) -> str:
    """A difference of two fractions in percentage points, signed."""
    if value is None:
        return "–"
    rounded = round(100 * value, 1)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else ''}{abs(rounded):.1f}"


def of_fewer(value: float | None, n: int, whole: int) -> str:
    """A rate; with its n where that is not the row's."""
    return percent(value) + (f" (n {n:,})" if n != whole else "")


def of_suite(value: float | None, there: int, whole: int) -> str:
    """A mean over datasets with how many of the suite's it is over: a mean over two of eight is not the paper's average."""
    return percent(value) if value is None else f"{percent(value)} ({there} of {whole})"


def interval(low: float | None, high: float | None) -> str:
    """Bounds in percent, without the sign."""
    return "–" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def number(value: float | None, digits: int = 1) -> str:
    """With thousands separated."""
    return "–" if value is None else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
