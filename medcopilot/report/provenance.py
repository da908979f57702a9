"""Where a run's numbers come from: its digest, config, code, libraries and machine tier, as far as it recorded them.

Promises: never fails: what cannot be read is left out.
Does not cover: the code that makes the page (`medcopilot.code_record`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.runs import RunFolder

_HEADER = ("version", "code", "gym", "builds")


def run_record(folder: Path) -> dict[str, str]:
    """One run's digest, config and summary header, flattened to `a.b.c -> text`."""
    try:
        config = RunFolder.open(folder).config
    except UserError:
        config = {}
    digest = folder / "digest"
    record: dict[str, Any] = {"config digest": digest.read_text().strip() if digest.exists() else "", "config": config}
    try:
        header = json.loads((folder / "summary.json").read_text())
        record.update({name: header[name] for name in _HEADER if isinstance(header, dict) and name in header})
    except (OSError, ValueError):
        pass
    return {name: value for name, value in flatten(record) if value not in ("", "None", "[]", "{}")}


def flatten(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested mappings as dotted names; lists stay one value."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from flatten(item, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
