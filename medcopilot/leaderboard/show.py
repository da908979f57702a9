"""A board as Markdown, as one HTML page, and on the terminal.

Promises: the page is one file that asks for nothing; text of runs is escaped in all three; published rows stand in a table of
their own, under what they are.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TextIO

from markupsafe import Markup

from env.files import atomic_write
from medcopilot.leaderboard.board import Board
from medcopilot.report.format import duration, interval, number, of_fewer, of_suite, percent
from medcopilot.report.pages import environment
from medcopilot.report.terminal import _table, console, show

_HEAD = ("rank", "run", "strict", "95 %", "released grader", "in distribution", "out of distribution", "episodes", "masked",
         "turns", "tokens", "time", "US dollars")


def cells(board: Board) -> list[list[str]]:
    """The board's rows as text, columns as `_HEAD`."""
    return [["–" if row.rank is None else str(row.rank), row.name, percent(row.rate.strict.value),
             interval(row.rate.strict.ci_low, row.rate.strict.ci_high),
             of_fewer(row.rate.paper.value, row.rate.paper.n, row.rate.strict.n),
             *(of_suite(*part) for part in row.of_suites.values()), f"{row.rate.traces:,}", f"{row.masked:,}",
             number(row.turns), number(row.tokens, 0), duration(row.seconds),
             "unknown" if row.cost is None else number(row.cost, 2)] for row in board.rows]


def markdown(board: Board) -> str:
    """For a README."""
    text = _markdown_table(_HEAD, cells(board))
    text += "".join(f"\n{note}\n" for note in board.notes)
    by_dataset = [[row.name, *(percent(row.datasets.get(name)) for name in board.datasets)] for row in board.rows]
    text += "\n" + _markdown_table(("strict success", *board.datasets), by_dataset)
    if board.published:
        rows = [[row.name, percent(row.in_distribution), percent(row.out_of_distribution)] for row in board.published]
        text += f"\n{board.published_note}\n\n" + _markdown_table(("published", "in distribution", "out of distribution"), rows)
    return text


def _markdown_table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n" for line in lines)


def page(board: Board) -> str:
    """The HTML page."""
    style = (files("medcopilot.report") / "templates" / "report.css").read_text(encoding="utf-8")
    return environment().get_template("leaderboard.html.jinja").render(board=board, style=Markup(style))


def write(board: Board, out: Path) -> None:
    """`leaderboard.{json,md,html}` in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    atomic_write(out / "leaderboard.json", board.model_dump_json(indent=2))
    atomic_write(out / "leaderboard.md", markdown(board))
    atomic_write(out / "leaderboard.html", page(board))


def print_board(board: Board, file: TextIO | None = None) -> None:
    """On the terminal."""
    screen = console(file)
    table = _table("Leaderboard (strict, lowest temperature of each run; rows that cannot be told apart share a rank)", _HEAD, 2)
    for row in cells(board):
        table.add_row(*row)
    show(screen, [table])
    for note in board.notes:
        screen.print(note, markup=False)
