"""Plots as inline SVG that follows the page's light or dark theme.

Promises: text stays text; colours are the page's CSS variables; the same data gives the same bytes; every figure carries a
spoken description.
Does not cover: numbers (`medcopilot.evaluation`) and the page (`build`).
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from medcopilot.report.metrics import Series, smooth

# colours that matplotlib is told, and what the page puts in their place
_INK, _MUTED, _LINE, _STRICT, _PAPER = "#010203", "#010204", "#010205", "#010206", "#010207"
_GOOD, _THIRD, _REST = "#010208", "#010209", "#01020a"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _STRICT: "--strict", _PAPER: "--paper", _GOOD: "--good",
              _THIRD: "--third", _REST: "--rest"}


class Dot(NamedTuple):
    """One row of a rate plot; fractions, None where unknown."""

    name: str
    strict: float | None
    low: float | None
    high: float | None
    paper: float | None


def rate_plot(dots: list[Dot], chance: float | None, description: str) -> Markup:
    """Strict success with its interval and the paper grader's rate, one row per stage; a dashed line at chance."""
    figure, axes = _axes(3.9, 0.75 + 0.36 * len(dots))
    for row, dot in enumerate(reversed(dots)):
        if dot.strict is None:
            axes.text(50, row, "not graded", ha="center", va="center", color=_MUTED)
            continue
        if dot.paper is not None:
            axes.plot([100 * dot.strict, 100 * dot.paper], [row, row], color=_PAPER, lw=1.2, ls=(0, (1, 1.5)), zorder=1)
            axes.plot([100 * dot.paper], [row], marker="D", ms=5.5, mfc="none", mec=_PAPER, mew=1.4, zorder=2)
        if dot.low is not None and dot.high is not None:
            axes.plot([100 * dot.low, 100 * dot.high], [row, row], color=_STRICT, lw=2.4, solid_capstyle="butt", zorder=3)
        axes.plot([100 * dot.strict], [row], marker="o", ms=7, color=_STRICT, zorder=4)
    if chance is not None:
        axes.axvline(100 * chance, color=_INK, lw=1, ls="--", zorder=0)
    axes.set_yticks(range(len(dots)), [_label(dot.name) for dot in reversed(dots)])
    axes.set_ylim(-0.6, len(dots) - 0.4)
    axes.set_xlim(-2, 102)
    axes.set_xticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    axes.grid(axis="x", color=_LINE, lw=0.8)
    axes.tick_params(axis="y", length=0)
    return _svg(figure, description)


def share_plot(shares: Mapping[str, float], description: str) -> Markup:
    """Shares of a whole, one bar a name, the first on top; fractions."""
    figure, axes = _axes(3.9, 0.75 + 0.27 * len(shares))
    names, values = list(shares)[::-1], [100 * share for share in shares.values()][::-1]
    axes.barh(range(len(names)), values, height=0.62, color=_STRICT, lw=0)
    for row, value in enumerate(values):
        axes.text(value, row, f" {value:.1f}", va="center", color=_MUTED, fontsize=9)
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, max(10.0, 1.18 * max(values, default=0.0)))
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g} %")
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=_LINE, lw=0.8)
    axes.tick_params(axis="y", length=0)
    return _svg(figure, description)


def curve_plot(line: Series, description: str) -> Markup:
    """One measure against the step: raw points faint, their moving average in front."""
    figure, axes = _axes(3.9, 2.2)
    many = len(line.values) > 30
    axes.plot(line.steps, line.values, color=_STRICT, lw=0.8 if many else 1.8, alpha=0.35 if many else 1.0,
              marker="" if many else "o", ms=3)
    if many:
        axes.plot(line.steps, smooth(line.values), color=_STRICT, lw=1.8)
    axes.grid(color=_LINE, lw=0.8)
    axes.set_xlabel("step", color=_MUTED)
    axes.locator_params(nbins=5)
    return _svg(figure, description)


def split_plot(parts: list[Series], description: str) -> Markup:
    """Seconds per step, stacked: moving averages, so that the areas can be followed."""
    figure, axes = _axes(3.9, 2.2)
    axes.stackplot(parts[0].steps, *(smooth(part.values) for part in parts), labels=[part.name for part in parts],
                   colors=(_STRICT, _GOOD, _THIRD, _REST)[: len(parts)], lw=0)
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.grid(color=_LINE, lw=0.8)
    axes.set_xlabel("step", color=_MUTED)
    axes.locator_params(nbins=5)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=_INK, fontsize=9, handlelength=1, borderpad=0)
    return _svg(figure, description)


def _label(name: str) -> str:
    """Short enough to leave room for the plot; a dollar sign is no formula."""
    return (name if len(name) <= 18 else name[:17] + "…").replace("$", r"\$")


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """A bare figure in inches, outside pyplot's global state."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.tick_params(colors=_INK, labelsize=10, length=3)
    return figure, axes


def _svg(figure: Any, description: str) -> Markup:
    import matplotlib

    buffer = io.StringIO()
    settings = {"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": description}
    with matplotlib.rc_context(settings):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    prefix = hashlib.blake2b(text.encode() + description.encode(), digest_size=4).hexdigest()
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>g{prefix}-", text)  # ids are global to the page
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    label = escape(description)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
