"""Pictures of scaling: success over K rollouts, and over checkpoints.

Promises: bands and bars are 95 % intervals; lines differ in colour, dash and marker; on the page text stays text and colours follow
its theme (`page_figure`), in a file (`draw`, `.png` or `.svg`) they are fixed.
Does not cover: the numbers (`medcopilot.evaluation.scaling`, `training`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from medcopilot.evaluation.scaling import Curve
from medcopilot.evaluation.training import Checkpoint
from medcopilot.report import plots
from medcopilot.report.format import percent

MEASURES = {"pass_at_k": "Pass@K", "best_at_k": "Best@K, verifier", "majority_at_k": "majority@K", "random": "random choice"}
_FIXED = ("#1f6f8b", "#1d7044", "#7a5aa6", "#8a9299")
_THEMED = (plots._STRICT, plots._GOOD, plots._THIRD, plots._REST)
_MARKS = (("o", "-"), ("s", "-"), ("^", "-"), ("", "--"), ("D", ":"), ("v", ":"), ("P", "-."), ("X", "-."))
_WIDTH, _HEIGHT = 4.6, 2.9
STYLES = len(_MARKS)
"""How many lines can be told apart, without colour too."""


class Line(NamedTuple):
    """One series; fractions, bounds None where there are none."""

    name: str
    at: list[float]
    values: list[float]
    low: list[float | None]
    high: list[float | None]
    style: int
    """Colour, marker and dash, below `STYLES`: the same measure looks the same in every picture."""


class Figure(NamedTuple):
    """What a picture shows."""

    lines: list[Line]
    label: str
    """Of the horizontal axis."""
    binary: bool
    """Whether that axis doubles from tick to tick."""
    title: str


def curve_figure(curve: Curve, title: str) -> Figure:
    """Every measure of a curve over K."""
    lines = []
    for style, (measure, name) in enumerate(MEASURES.items()):
        known = [(point.k, item) for point in curve.points if (item := getattr(point, measure)) is not None]
        if known:
            lines.append(Line(name, [float(k) for k, _ in known], [item.value for _, item in known],
                              [item.ci_low for _, item in known], [item.ci_high for _, item in known], style))
    way = "the greedy one and K − 1 drawn" if curve.scheme == "greedy first" else "drawn"
    return Figure(lines, f"K rollouts, {way} at T = {curve.temperature:g}", True, title)


def runs_figure(curves: Mapping[str, Curve], measure: str) -> Figure | None:
    """One measure of several runs' curves over K, drawn in the same way; at most `STYLES` runs. None where none has it."""
    lines = []
    for style, (name, curve) in enumerate(list(curves.items())[:STYLES]):
        known = [(point.k, item) for point in curve.points if (item := getattr(point, measure)) is not None]
        if known:
            lines.append(Line(name, [float(k) for k, _ in known], [item.value for _, item in known],
                              [item.ci_low for _, item in known], [item.ci_high for _, item in known], style))
    scheme = next(iter(curves.values())).scheme if curves else ""
    at = {f"{curve.temperature:g}" for curve in curves.values()}
    way = "the greedy one and K − 1 drawn" if scheme == "greedy first" else "drawn"
    way += f" at T = {min(at)}" if len(at) == 1 else ""
    return Figure(lines, f"K rollouts, {way}", True, f"{MEASURES[measure]} of all runs") if lines else None


def training_figure(checkpoints: Sequence[Checkpoint], label: str, title: str) -> Figure:
    """Strict success over checkpoints: one line per slice where there are several."""
    slices = sorted({name for item in checkpoints for name in item.slices})

    def line(name: str, rates: list[Any]) -> Line:
        known = [(item.at, rate) for item, rate in zip(checkpoints, rates, strict=True) if rate and rate.value is not None]
        return Line(name, [at for at, _ in known], [rate.value for _, rate in known], [rate.ci_low for _, rate in known],
                    [rate.ci_high for _, rate in known], slices.index(name) % STYLES if name in slices else 0)

    lines = [line(name, [item.slices.get(name) for item in checkpoints]) for name in slices] if len(slices) > 1 else \
        [line("strict success", [item.strict for item in checkpoints])]
    return Figure([item for item in lines if item.values], label, False, title)


def page_figure(figure: Figure) -> Markup:
    """For the HTML page."""
    drawing, axes = plots._axes(_WIDTH, _HEIGHT)
    _lines(drawing, axes, figure, _THEMED, plots._INK, plots._LINE)
    words = "; ".join(f"{line.name} from {percent(line.values[0])} to {percent(line.values[-1])}" for line in figure.lines)
    return plots._svg(drawing, f"{figure.title}, over {figure.label}: {words}")


def draw(figure: Figure, path: Path) -> None:
    """Into a file; its ending says of which kind.

    Raises:
        UserError: another ending than `.png` or `.svg`.
    """
    from env.errors import UserError

    if path.suffix not in (".png", ".svg"):
        raise UserError(f"{path}: a picture is a .png or .svg file")
    drawing, axes = plots._axes(_WIDTH, _HEIGHT)
    _lines(drawing, axes, figure, _FIXED, "#1c2126", "#dfe2de")
    axes.set_title(figure.title.replace("$", r"\$"), fontsize=10, color="#1c2126", loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=110, facecolor="white")


def _lines(drawing: Any, axes: Any, figure: Figure, colours: Sequence[str], ink: str, grid: str) -> None:
    for line in figure.lines:
        colour, (mark, dash) = colours[line.style % len(colours)], _MARKS[line.style]
        bounds = [(at, 100 * low, 100 * high) for at, low, high in zip(line.at, line.low, line.high, strict=True)
                  if low is not None and high is not None]
        if bounds:
            axes.fill_between(*map(list, zip(*bounds, strict=True)), color=colour, alpha=0.14, lw=0)
        # a dollar sign is no formula, and matplotlib leaves names with an underscore in front out of the legend
        name = line.name.replace("$", r"\$")
        axes.plot(line.at, [100 * value for value in line.values], label=f" {name}" if name.startswith("_") else name,
                  color=colour, lw=1.8, ls=dash, marker=mark, ms=4)
    if figure.binary:
        last = int(max((line.at[-1] for line in figure.lines), default=1.0))
        ticks = sorted({*(2**power for power in range(last.bit_length())), last})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    axes.grid(color=grid, lw=0.8)
    axes.set_xlabel(figure.label, color=ink, fontsize=9)
    axes.tick_params(colors=ink)
    axes.spines["bottom"].set_color(grid)
    if len(figure.lines) > 1:
        axes.legend(frameon=False, labelcolor=ink, fontsize=8, handlelength=1.8, loc="best")
