"""The last step of the demo: `summary.json`, `report.html` and the table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from env.files import atomic_write
from medcopilot.evaluation.columns import Columns, columns
from medcopilot.evaluation.stages import comparison, stage_summary
from medcopilot.report.build import build_report
from medcopilot.runs import RunFolder

PAIRS = (("sft", "grpo"), ("dpo", "grpo"), ("sft", "dpo"), ("base", "sft"))


def write_report(out: Path, stages: Sequence[str], seconds: dict[str, float], scale: dict[str, Any], seed: int) -> dict[str, Any]:
    """Summarise the evaluated stages under `out/eval` and draw the page. Returns the summary."""
    cold = {stage: _read(out, f"{stage}-t0", f"{stage}-t0-unseen") for stage in stages}
    warm = {stage: _read(out, f"{stage}-t1") for stage in stages}
    pairs = [(a, b) for a, b in PAIRS if a in stages and b in stages]
    comparisons = {f"{b} - {a}": comparison(cold[a], cold[b]) for a, b in pairs}
    unseen = {f"{b} - {a}": comparison(cold[a], cold[b], slice_name="unseen") for a, b in pairs}
    hot = {f"{b} - {a}": comparison(warm[a], warm[b]) for a, b in pairs}
    chance = _chance(out / "validation.json")
    # a stage shorter than its logging interval has written no metrics
    metrics = {name: path for name in stages if (path := out / "metrics" / f"{name}.jsonl").exists()}
    summary = {
        "stages": {stage: stage_summary(cold[stage], warm[stage]) for stage in stages},
        "comparisons": comparisons,
        "comparisons_unseen": unseen,
        "comparisons_t1": hot,
        "chance": chance,
        "seconds": seconds,
        "scale": scale,
        "seed": seed,
    }
    atomic_write(out / "summary.json", json.dumps(summary, indent=2))
    build_report(
        {
            stage: [out / "eval" / f"{stage}-t0", out / "eval" / f"{stage}-t0-unseen", out / "eval" / f"{stage}-t1"]
            for stage in stages
        },
        out / "report.html",
        title="Med-Copilot: the whole loop on a laptop",
        extra={
            "metrics": metrics,
            "chance": chance,
            "comparisons": {**comparisons, **{f"{k} (unseen)": v for k, v in unseen.items()}},
            "notes": ["Seconds of each step: " + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()) + "."],
        },
    )
    print_table(summary)
    return summary


def _read(out: Path, *names: str) -> Columns:
    return columns(trace for name in names for trace in RunFolder.open(out / "eval" / name).scan())


def _chance(path: Path) -> dict[str, float]:
    """Chance per dataset as `medcopilot validate` measured it."""
    if not path.exists():
        return {}
    return {row["dataset"]: row["chance"] for row in json.loads(path.read_text())["datasets"]}


def print_table(summary: dict[str, Any]) -> None:
    """Stages side by side: strict, paper, T = 1, unseen templates."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="held-out success, strict grader, protocol submit")
    for head in ("stage", "n", "seen, T=0", "95 % interval", "paper grader", "T=1", "unseen, T=0", "n unseen"):
        table.add_column(head, justify="left" if head == "stage" else "right")
    for stage, row in summary["stages"].items():
        beside = row.get("unseen") or {}
        interval = f"{row['ci_low']:.1%} to {row['ci_high']:.1%}"
        table.add_row(
            stage,
            str(row["n"]),
            f"{row['strict']:.1%}",
            interval,
            f"{row['paper']:.1%}",
            f"{row['t1']['strict']:.1%}",
            f"{beside['strict']:.1%}" if beside else "-",
            str(beside.get("n", "-")),
        )
    console = Console(width=110)
    console.print(table)
    for label, row in summary["comparisons"].items():
        interval = f"{row['ci_low']:+.1%} to {row['ci_high']:+.1%}"
        console.print(
            f"{label}: {row['difference']:+.1%} (95 % {interval}: paired cluster bootstrap, {row['tasks']} tasks, "
            f"{row['clusters']} clusters)"
        )
