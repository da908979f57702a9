"""What the commands of the database builders share: check, build beside the target, rename, print what every filter left.

Promises: nothing is written where it fails; bad input is one sentence on stderr and exit code 2.
Does not cover: the options of a builder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from env.errors import UserError


def build_beside(source: Path, target: Path, build: Callable[[Path], dict[str, Any]]) -> int:
    """Write `target` with `build(partial file)`, which returns the builder's report; the exit code."""
    partial = target.with_name(target.name + ".partial")
    try:
        if not source.is_dir():
            raise UserError(f"{source} is not a folder: give the folder with the raw CSVs of MIMIC-III")
        if target.exists():
            raise UserError(f"{target} exists: delete it or choose another name")
        partial.unlink(missing_ok=True)
        report = build(partial)
    except UserError as error:
        partial.unlink(missing_ok=True)
        print(error, file=sys.stderr)
        return 2
    partial.rename(target)
    for step in report["steps"]:
        print(f"{step['table']:>18}  {step['rows_in']:>10,} -> {step['rows_out']:>10,}  {step['rule']}")
    print(f"{report['patients']} patients; rows: " + ", ".join(f"{name} {rows:,}" for name, rows in report["rows"].items()))
    return 0
