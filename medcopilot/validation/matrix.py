"""One table over all datasets: how far each group of attacks gets, with the strict and with the released grader.

`python -m medcopilot.validation.matrix audit.json` prints it as Markdown, which is how the README's table is made;
`--short FILE` writes the figures that it needs, a few kilobytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from env.files import atomic_write


def matrix(datasets: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and rows. A cell is the worst strict rate of a group in per cent, and the worst released rate in brackets."""
    groups = list(dict.fromkeys(row["group"] for dataset in datasets for row in dataset["attacks"]))
    rows = []
    for dataset in datasets:
        gold = [row for row in dataset["gold"].values() if row["tasks"]]
        cells = [dataset["dataset"], f"{sum(dataset['counts'].values()):,}", f"{100 * min(row['strict'] for row in gold):.0f}",
                 f"{100 * dataset['chance']:.1f}"]
        for group in groups:
            own = [row for row in dataset["attacks"] if row["group"] == group]
            cells.append(f"{100 * max(row['strict'] for row in own):.1f} ({100 * max(row['paper'] for row in own):.0f})" if own
                         else "–")
        cells.append(f"{100 * dataset['rejected_share']:.2f}")
        rows.append(cells)
    return ["dataset", "tasks", "gold", "chance", *groups, "correct variants refused"], rows


def markdown(datasets: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    header, rows = matrix(datasets)
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def short(document: dict[str, Any]) -> dict[str, Any]:
    """A report of `medcopilot validate --json` without everything that the table does not show."""
    datasets = []
    for dataset in document["datasets"]:
        groups = {group: [row for row in dataset["attacks"] if row["group"] == group]
                  for group in dict.fromkeys(row["group"] for row in dataset["attacks"])}
        worst = [{"group": group, "attacks": len(rows), "strict": max(row["strict"] for row in rows),
                  "paper": max(row["paper"] for row in rows), "live": all(row["live"] for row in rows)}
                 for group, rows in groups.items()]
        gold = {name: {key: row[key] for key in ("tasks", "strict", "paper")} for name, row in dataset["gold"].items()}
        datasets.append({**{key: dataset[key] for key in ("dataset", "counts", "chance", "rejected_share", "seconds")},
                         "gold": gold, "attacks": worst, "breaches": len(dataset["breaches"])})
    kept = {key: document[key] for key in ("breaches", "sample", "limit", "seed") if key in document}
    return {**kept, "sandbox": document["sandbox"]["backend"], "datasets": datasets}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    if "--short" in sys.argv[2:3]:
        kept = short(given)
        lines = ",\n".join(f"  {json.dumps(dataset)}" for dataset in kept.pop("datasets"))
        head = json.dumps(kept, indent=1).removesuffix("\n}")
        atomic_write(Path(sys.argv[3]), f'{head},\n "datasets": [\n{lines}\n ]\n}}\n')
    else:
        print(markdown(given["datasets"]), end="")
