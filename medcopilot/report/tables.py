"""Terminal tables of curves over K, suites, protocols and checkpoints, and of two runs side by side.

Promises: as `terminal`: plain text where it is piped; a column that a run has no numbers for shows a dash.
Does not cover: the numbers (`medcopilot.evaluation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from medcopilot.evaluation.compare import Comparison, Difference
from medcopilot.evaluation.protocols import Inflation
from medcopilot.evaluation.runs import Evaluation
from medcopilot.evaluation.scaling import Curve, Estimate, Gain, Scaling
from medcopilot.evaluation.suites import Suite
from medcopilot.evaluation.training import Checkpoint
from medcopilot.report.format import interval, of_fewer, percent, points
from medcopilot.report.terminal import _differences, _table, console, print_summaries, show

SHOWN = (1, 2, 4, 8, 16, 32, 64)
"""K in the terminal; the JSON has every K."""


def print_evaluation(found: Evaluation, file: TextIO | None = None) -> None:
    """Everything worth seeing of some runs."""
    print_summaries(found.runs, found.comparisons, file)
    show(console(file), [_suites(found.suites), *_curves(found.scaling), _inflation(found.inflation), _training(found.training)])
    _say(console(file), found.notes)


def print_comparison(a: str, b: str, found: Comparison, gains: Sequence[Gain], pairs: Mapping[str, Inflation],
                     notes: Sequence[str] = (), file: TextIO | None = None) -> None:
    """Two runs, part by part, and what a reader has to know of them."""
    rows: dict[str, Difference] = {f"{b} − {a}": found.overall}
    for kind in (found.slices, found.suites, found.datasets):
        rows |= {f"  {name}": item for name, item in kind.items() if item.tasks}
    screen = console(file)
    show(screen, [_differences(rows), _gains(gains), _inflation(pairs)])
    screen.print(f"{len(rows)} rows, each with its own 95 % interval: about one in twenty excludes 0 by chance alone.")
    _say(screen, notes)


def _say(screen: Console, notes: Sequence[str]) -> None:
    for note in notes:
        screen.print(note, markup=False, soft_wrap=True)
    if notes:
        screen.print()


def _suites(suites: Mapping[str, Mapping[str, Suite]]) -> Table:
    table = _table("Suites (pooled; mean of datasets, each counting once)",
                     ["run", "suite", "strict", "interval", "paper", "mean strict", "mean paper", "datasets", "actions"], 2)
    table.columns[-1].justify, table.columns[-1].no_wrap = "left", False
    for name, parts in suites.items():
        for suite, item in parts.items():
            acts = ", ".join(f"{action} {percent(share, 0)}" for action, share in item.behaviour.actions.items() if share)
            table.add_row(name, suite, percent(item.group.strict.value),
                          interval(item.group.strict.ci_low, item.group.strict.ci_high),
                          of_fewer(item.group.paper.value, item.group.paper.n, item.group.strict.n),
                          percent(item.macro_strict), percent(item.macro_paper),
                          f"{len(item.datasets)} of {len(item.datasets) + len(item.missing)}", acts)
    return table


def _curves(curves: Mapping[str, Scaling]) -> Iterator[Table]:
    for name, item in curves.items():
        parts: list[tuple[str, Curve]] = [("all", curve) for curve in item.overall]
        if len(item.slices) > 1:
            parts += [(part, curve) for part, found in item.slices.items() for curve in found]
        if len(item.datasets) > 1:
            parts += [(part, curve) for part, found in item.datasets.items() for curve in found]
        table = _table(f"{name}: K rollouts per task", ["part", "rollouts", "K", "Pass@K", "interval", "Best@K", "interval",
                                                          "majority@K", "interval", "random", "regret", "tasks", "too few"], 2)
        for part, curve in parts:
            for point in curve.points:
                if point.k in SHOWN or point.k == curve.points[-1].k:
                    table.add_row(part, f"{curve.scheme}, T = {curve.temperature:g}", str(point.k), *_cells(point.pass_at_k),
                                  *_cells(point.best_at_k), *_cells(point.majority_at_k), percent(point.random.value),
                                  points(point.regret.value if point.regret else None), str(point.tasks), str(point.too_few))
        yield table


def _cells(item: Estimate | None) -> tuple[str, str]:
    return (percent(item.value), interval(item.ci_low, item.ci_high)) if item else ("–", "–")


def _difference(item: Estimate | None) -> str:
    if item is None:
        return "–"
    bounds = f" ({points(item.ci_low)} to {points(item.ci_high)})" if item.ci_low is not None else ""
    return points(item.value) + bounds


def _gains(gains: Sequence[Gain]) -> Table:
    table = _table("Differences over K (points, paired, 95 %)", ["rollouts", "T", "K", "Pass@K", "Best@K", "majority@K", "tasks"])
    for item in gains:
        if item.k in SHOWN:
            cells = (_difference(value) for value in (item.pass_at_k, item.best_at_k, item.majority_at_k))
            table.add_row(item.scheme, f"{item.temperature:g}", str(item.k), *cells, str(item.tasks))
    return table


def _inflation(pairs: Mapping[str, Inflation]) -> Table:
    table = _table("Protocols and graders on the same tasks", ["runs", "submit, strict", "submit, paper grader",
                                                                 "paper, strict", "paper, paper grader", "by grader",
                                                                 "by protocol", "both", "tasks", "left out"])
    for name, item in pairs.items():
        cells = (item.submit_strict, item.submit_paper, item.paper_strict, item.paper_paper)
        table.add_row(name, *(percent(cell.value) for cell in cells), _difference(item.by_grader), _difference(item.by_protocol),
                      _difference(item.both), str(item.tasks), str(item.left_out))
    return table


def _training(checkpoints: Sequence[Checkpoint]) -> Table:
    slices = sorted({name for item in checkpoints for name in item.slices})
    table = _table("Over training", ["at", "run", "strict", "interval", *slices, "paper", "gain, points", "n"], 2)
    for item in checkpoints:
        gain = Estimate(value=item.gain.difference, ci_low=item.gain.ci_low, ci_high=item.gain.ci_high) \
            if item.gain and item.gain.difference is not None else None
        table.add_row(f"{item.at:g}", item.run, percent(item.strict.value), interval(item.strict.ci_low, item.strict.ci_high),
                      *(percent(item.slices[name].value if name in item.slices else None) for name in slices),
                      of_fewer(item.paper.value, item.paper.n, item.strict.n), _difference(gain), str(item.strict.n))
    return table
