"""Where a report's numbers come from: code version, library versions, configs, machine tier.

Promises: never fails (what cannot be found out is left out) and never reads the environment's variables.
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot import __version__
from medcopilot.runs import RunFolder

_HEADER = ("version", "code", "gym", "builds")
_PACKAGES = ("torch", "transformers", "trl", "vllm", "numpy", "scipy")


def code_record() -> dict[str, str]:
    """Versions of this code and of the libraries that move numbers."""
    record = {"medcopilot": __version__, "commit": _commit(), "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            record[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {name: value for name, value in record.items() if value}


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


def _commit() -> str:
    """The commit of the checkout that this file lies in, marked when files differ from it."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"], cwd=root, timeout=10,
                              capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
