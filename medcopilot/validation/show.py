"""The battery's findings as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from medcopilot.validation.battery import AttackRow, DatasetReport


def show(report: DatasetReport, console: Console, *, every: bool = False) -> None:
    """Print one dataset's findings. `every`: each attack on its own line instead of the worst of each group."""
    counts = ", ".join(f"{count:,} {split}" for split, count in report.counts.items())
    console.print(f"\n[bold]{report.dataset}[/bold] · {counts} tasks, {report.answerable:,} answerable · chance "
                  f"{report.chance:.2%} (always answering {report.chance_answer!r}) · {report.seconds:.0f} s")
    console.print(_gold(report))
    console.print(_attacks(report, every))
    console.print(_variants(report))
    secrecy = report.secrecy
    console.print(f"key: searched for in the boxes of {secrecy.get('tasks', 0)} tasks, {len(secrecy.get('leaks', ()))} leaks; "
                  f"{secrecy.get('checked_for_real', 0)} attacks run again through grading, "
                  f"{len(secrecy.get('disagreements', ()))} disagree")
    for breach in report.breaches:
        console.print(f"[red]BREACH[/red] {report.dataset}: {breach}", highlight=False)
    if not report.breaches:
        console.print(f"[green]{report.dataset}: no breach[/green]")


def _gold(report: DatasetReport) -> Table:
    table = Table(title="correct submissions (must be 100 %)", title_justify="left")
    for column in ("what", "tasks", "strict", "paper grader"):
        table.add_column(column, justify="left" if column == "what" else "right")
    names = {"program": "gold program", "alternative": "second reference program", "answer": "reference as an answer"}
    for kind, row in report.gold.items():
        table.add_row(names.get(kind, kind), f"{row['tasks']:,}", _must(row["strict"]), f"{row['paper']:.1%}")
    return table


def _attacks(report: DatasetReport, every: bool) -> Table:
    table = Table(title=f"attacks (strict must not exceed {report.chance:.2%}; the paper grader's holes beside)",
                  title_justify="left")
    for column in ("attack", "strict", "paper grader", "ungraded", "all tasks, strict", "control", "control falls"):
        table.add_column(column, justify="left" if column in ("attack", "control") else "right")
    rows = report.attacks
    if not every:
        worst: dict[str, AttackRow] = {}
        for row in rows:
            best = worst.setdefault(row.group, row)
            if (not row.live, row.strict, row.paper) > (not best.live, best.strict, best.paper):
                worst[row.group] = row
        rows = list(worst.values())
    sizes = {row.group: sum(other.group == row.group for other in report.attacks) for row in rows}
    for row in rows:
        name = row.name if every or sizes[row.group] == 1 else f"{row.group}: worst of {sizes[row.group]}, {row.name}"
        colour = "red" if row.strict > report.chance else "green"
        table.add_row(name, f"[{colour}]{row.strict:.2%}[/{colour}]", f"{row.paper:.1%}",
                      f"{row.unsupported + row.infrastructure:.1%}", f"{row.strict_all:.2%}", row.control,
                      f"{row.control_rate:.1%}" if row.live else "[red]dead[/red]")
    return table


def _variants(report: DatasetReport) -> Table:
    table = Table(title=f"correct variants (must be 100 %; rejected share {report.rejected_share:.3%})", title_justify="left")
    for column in ("variant", "tasks", "strict", "paper grader"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for row in report.variants:
        table.add_row(row.name, f"{row.tasks:,}", _must(row.accepted), f"{row.paper:.1%}")
    return table


def _must(rate: float) -> str:
    return f"{rate:.1%}" if rate == 1.0 else f"[red]{rate:.2%}[/red]"
