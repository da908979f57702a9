"""Summaries in the terminal: rich tables on a screen, plain text everywhere else.

Promises: what is piped or logged holds no colour codes and no box characters, and is never cut to the width of a window.
Does not cover: the numbers (`medcopilot.evaluation`) and the HTML page (`build`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from medcopilot.evaluation.compare import Difference
from medcopilot.evaluation.summary import Behaviour, Group, Rate, Summary
from medcopilot.report.format import duration, interval, number, of_fewer, percent, points

_PLAIN_WIDTH = 240


def console(file: TextIO | None = None) -> Console:
    """A console for `file` (default: stdout)."""
    file = file or sys.stdout
    return Console(file=file) if file.isatty() else Console(file=file, width=_PLAIN_WIDTH, no_color=True, highlight=False)


def print_summaries(summaries: Mapping[str, Summary], comparisons: Mapping[str, Difference], file: TextIO | None = None) -> None:
    """Everything worth seeing of some runs, keyed by name, and of their paired differences."""
    screen = console(file)
    tables = [_success(summaries), _abstention(summaries), _behaviour(summaries), _errors(summaries), _loops(summaries),
              _time(summaries), _differences(comparisons)]
    show(screen, tables)


def show(screen: Console, tables: Iterable[Table]) -> None:
    """The tables that have rows."""
    for table in tables:
        if table.row_count:
            screen.print(_styled(table, screen.is_terminal))
            screen.print()


def _table(title: str, columns: Iterable[str], text_columns: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < text_columns else "right", no_wrap=True)
    return table


def _styled(table: Table, screen: bool) -> Table:
    table.box = box.SIMPLE_HEAD if screen else box.ASCII2
    table.show_edge = screen
    return table


def _success(summaries: Mapping[str, Summary]) -> Table:
    table = _table("Success (95 % cluster-bootstrap interval)", ["run", "dataset", "slice", "strict", "interval", "paper",
                                                                   "inflation", "answerable", "n", "clusters", "ungraded"], 3)
    for name, summary in summaries.items():
        _add(table, (name, "all", "all"), summary.overall)
        if len(summary.datasets) > 1 and len(summary.slices) > 1:
            for part, item in summary.slices.items():
                _add(table, ("", "all", part), item)
        for dataset in summary.datasets:
            parts = summary.dataset_slices[dataset]
            if len(parts) > 1 or len(summary.datasets) > 1:
                for part, cell in parts.items():
                    _add(table, ("", dataset, part), cell)
    return table


def _add(table: Table, names: tuple[str, str, str], item: Group) -> None:
    ungraded = sum(item.ungraded.values())
    what = f"{ungraded} ({', '.join(f'{n} {label}' for label, n in item.ungraded.items())})" if ungraded else "0"
    table.add_row(*names, percent(item.strict.value), interval(item.strict.ci_low, item.strict.ci_high),
                  of_fewer(item.paper.value, item.paper.n, item.strict.n), points(item.inflation),
                  percent(item.answerable.value), str(item.strict.n), str(item.strict.clusters), what)


def _abstention(summaries: Mapping[str, Summary]) -> Table:
    table = _table("Abstention", ["run", "impossible", "abstained", "precision", "interval", "recall", "interval"])

    def cells(rate: Rate) -> tuple[str, str]:
        return percent(rate.value), interval(rate.ci_low, rate.ci_high)

    for name, summary in summaries.items():
        item = summary.overall.abstention
        if item is not None:
            table.add_row(name, str(item.impossible), str(item.abstained), *cells(item.precision), *cells(item.recall))
    return table


def _behaviour(summaries: Mapping[str, Summary]) -> Table:
    table = _table("Behaviour", ["run", "turns", "tokens", "seconds", "ended by", "actions", "refused"])
    for column in table.columns[4:]:
        column.justify, column.no_wrap = "left", False
    for name, summary in summaries.items():
        acts: Behaviour = summary.behaviour
        total = sum(acts.stops.values()) or 1
        table.add_row(name, number(acts.turns.mean), number(acts.completion_tokens.mean, 0), number(acts.seconds.mean, 2),
                      _shares({stop: n / total for stop, n in acts.stops.items()}), _shares(acts.actions),
                      ", ".join(f"{n} {kind}" for kind, n in acts.refused.items() if n) or "none")
    return table


def _errors(summaries: Mapping[str, Summary]) -> Table:
    table = _table("Errors (failed episodes, by class)", ["run", "failed", "classes", "the paper's classes"])
    for column in table.columns[2:]:
        column.justify, column.no_wrap = "left", False
    for name, summary in summaries.items():
        acts = summary.behaviour
        failed = sum(acts.paper_errors.values())
        if acts.errors:
            table.add_row(name, str(failed), ", ".join(f"{kind} {n}" for kind, n in acts.errors.items()),
                          _shares({kind: n / (failed or 1) for kind, n in acts.paper_errors.items()}))
    return table


def _loops(summaries: Mapping[str, Summary]) -> Table:
    table = _table("Loops (tokens: sampled ones)", ["run", "episodes", "turns", "tokens after", "share", "guarded", "told", "ended",
                                                    "saved at most", "would end", "would save", "of these right"])
    for name, summary in summaries.items():
        if (item := summary.behaviour.loops) is not None:
            table.add_row(name, str(item.episodes), str(item.turns), number(item.tokens_after, 0), percent(item.share_after),
                          str(item.guarded), str(item.told), str(item.stopped), number(item.saved, 0), str(item.would_stop),
                          number(item.would_save, 0), str(item.would_lose))
    return table


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share)


def _time(summaries: Mapping[str, Summary]) -> Table:
    table = _table("Rollout time (added up over episodes)", ["run", "generation", "environment", "grading", "rest", "total", "wall",
                                                             "episodes/s"])
    for name, summary in summaries.items():
        time = summary.behaviour.time
        parts = (time.generation, time.environment, time.grading, time.rest)
        total = sum(parts)
        if total:
            table.add_row(name, *(percent(part / total, 0) for part in parts), duration(total), duration(time.wall),
                          number(time.episodes_per_second))
    return table


def _differences(comparisons: Mapping[str, Difference]) -> Table:
    table = _table("Paired differences (strict, shared tasks)", ["comparison", "points", "95 % interval", "separated", "gained",
                                                                 "lost", "McNemar p", "tasks", "clusters"])
    for name, item in comparisons.items():
        bounds = f"{points(item.ci_low)} to {points(item.ci_high)}" if item.ci_low is not None else "–"
        table.add_row(name, points(item.difference), bounds, "yes" if item.separated else "no", str(item.only_b),
                      str(item.only_a), number(item.mcnemar_p, 4), str(item.tasks), str(item.clusters))
    return table
