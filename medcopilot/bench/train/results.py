"""The file of results: one JSON object per line, one line per case and machine.

Promises: a row appears whole or not at all, and replaces an older one of the same case on the same machine; rows of other
machines stay; a file that is something else is refused and left alone. `table` renders rows for `docs/performance.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from env.errors import UserError
from env.files import atomic_write
from medcopilot.jsonl import read_rows

FINAL = ("ok", "oom")
"""A case with this status is not run again; what was missing may have been installed since, what failed may have been mended."""
_COLUMNS = ("stage", "size", "option", "s per step", "before it, s", "tokens/s", "MFU", "HFU", "peak GiB", "against base")


def load(path: Path) -> list[dict[str, Any]]:
    """All rows; none when there is no file.

    Raises:
        UserError: the file has lines, and none of them is a row.
    """
    rows = [row for row in read_rows(path) if "case" in row and "status" in row]
    if not rows and path.is_file() and path.read_bytes().strip():
        raise UserError(f"{path}: not a file of results of `medcopilot bench train`: give another --json")
    return rows


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a row is recognised by: case, device, torch, and how much a step holds."""
    return row["case"], row["device"], row["versions"]["torch"], json.dumps(row["scale"], sort_keys=True)


def done(rows: Iterable[dict[str, Any]]) -> set[tuple[Any, ...]]:
    """Keys of the cases that need not run again."""
    return {key(row) for row in rows if row["status"] in FINAL}


def add(path: Path, rows: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """Put a row into the list and write the file."""
    rows[:] = [other for other in rows if key(other) != key(row)] + [row]
    atomic_write(path, "".join(json.dumps(one) + "\n" for one in rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: for every machine a line that describes it, and a table of its cases in their order."""
    machines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        machines.setdefault(_machine(row), []).append(row)
    parts = []
    for name, own in machines.items():
        bases = {(row["stage"], row["size"]): row for row in own if row["option"] == "base"}
        lines = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
        lines += [_line(row, bases.get((row["stage"], row["size"]))) for row in sorted(own, key=_place)]
        parts.append("\n".join([name, "", *lines]))
    return "\n\n".join(parts) + "\n"


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return ("sft", "dpo", "grpo", "ppo").index(row["stage"]), float(row["size"].removesuffix("b")), row["option"] != "base"


def _machine(row: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items() if version)
    memory = f" ({row['device_bytes'] / 2**30:.0f} GiB)" if row.get("device_bytes") else f", {row['threads']} threads"
    scale = "" if not row["scale"]["toy"] else " **Toy width: shows that it runs, says nothing about speed.**"
    return f"{row['device']}{memory}; {versions}.{scale}"


def _line(row: dict[str, Any], base: dict[str, Any] | None) -> str:
    cells = [row["stage"], row["size"], row["option"]]
    if row["status"] != "ok":
        what = {"oom": "out of memory", "missing": "not run", "failed": "failed"}[row["status"]]
        return f"| {' | '.join(cells)} | {what}: {_plain(row['reason'])} |" + " |" * (len(_COLUMNS) - 4)
    shares = [f"{100 * row[name]:.1f} %" if row[name] is not None else "" for name in ("mfu", "hfu")]
    cells += [f"{row['seconds']:.3g}", f"{row['evaluate_seconds']:.3g}" if row["evaluate_seconds"] is not None else "",
              f"{row['tokens_per_second']:,.0f}", *shares, f"{row['peak_bytes'] / 2**30:.1f}" if row["peak_bytes"] else "",
              _against(row, base)]
    return f"| {' | '.join(cells)} |"


def _against(row: dict[str, Any], base: dict[str, Any] | None) -> str:
    """Speed and memory beside the base's."""
    if base is None or base is row or base["status"] != "ok":
        return ""
    told = [f"{row['tokens_per_second'] / base['tokens_per_second']:.2f} x speed"]
    if row["peak_bytes"] and base["peak_bytes"]:
        told.append(f"{(row['peak_bytes'] - base['peak_bytes']) / 2**30:+.1f} GiB")
    return ", ".join(told)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")[:120]
