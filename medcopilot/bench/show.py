"""Prints measurements as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from env.files import atomic_write
from medcopilot.cli.console import table_console


def show(document: dict[str, Any]) -> None:
    """One row for every measurement; what describes the machine is left to the JSON file."""
    table = Table("measured", "p50", "p95", "other")
    for name, row in document.items():
        if isinstance(row, float):
            table.add_row(name.replace("_", " "), "", "", _ratio(name, row))
        elif isinstance(row, dict) and row and all(isinstance(value, float) for value in row.values()):
            other = "  ".join(f"{_digits(value)} {key.replace('_', ' ')}" for key, value in row.items() if not key.startswith("p"))
            table.add_row(name, *(f"{row[key]:.1f} ms" if key in row else "" for key in ("p50_ms", "p95_ms")), other)
    table_console().print(table)


def tell(document: dict[str, Any], json_file: Path | None) -> None:
    """The table, and the whole document as JSON where a file is given."""
    show(document)
    if json_file is not None:
        atomic_write(json_file, json.dumps(document, indent=2))


def show_aims(document: dict[str, Any]) -> None:
    """The ratios of training and rollouts, each beside what it is to reach."""
    from medcopilot.bench.rollout import AIMS

    table = Table("ratio", "measured", "aim")
    for name, aim in AIMS.items():
        if name in document:
            table.add_row(name.replace("_", " "), _ratio(name, document[name]), f"at least {_ratio(name, aim)}")
    table_console().print(table)


def _ratio(name: str, value: float) -> str:
    if "utilisation" in name:
        return f"{value:.1%}"
    return f"{_digits(value)} x" if "speedup" in name or "over" in name else f"{value:.1f}"


def _digits(value: float) -> str:
    """Tokens per second need no decimals that a ratio needs."""
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
