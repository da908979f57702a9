"""Runs gold programs in the interpreter that boxes give them: with their package sets, in one process for a whole batch.

Promises: each program has names of its own and sees the studies at /data as they lie on this machine; its variables come back as
the records that a grading box would hand out.
Does not cover: isolation. These are our own programs; what an agent writes runs in boxes only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from env.datasets.base import Disagreement
from env.errors import UserError
from env.sandbox import packages

_RUNNER = """
import json, sys, traceback, warnings
warnings.simplefilter("ignore")
request = json.loads(sys.stdin.read())
names = {"__name__": "collect"}
exec(request["collect"], names)
replies = []
for source, wanted in request["programs"]:
    own = {"__name__": "__main__"}
    try:
        exec(compile(source, "gold.py", "exec"), own)
        replies.append({"records": names["collect"](own, wanted)})
    except Exception:
        replies.append({"error": traceback.format_exc(limit=-4)})
print(json.dumps(replies))
"""
TIMEOUT_S = 600.0


def run_golds(programs: Sequence[tuple[str, list[str]]], data: Path, sets: tuple[str, ...]) -> list[dict[str, Any]]:
    """Records of the wanted variables of each program.

    Args:
        programs: source and the names of its result variables.
        data: the folder that stands for /data.
        sets: package sets, as in a box.

    Raises:
        UserError: a package set is not installed.
        Disagreement: a program fails; the message holds its traceback.
    """
    data = data.resolve()  # the programs run inside it
    moved = [(source.replace('"/data/', f'"{data}/'), names) for source, names in programs]
    collect = resources.files("env.grading.harness").joinpath("collect.py").read_text(encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(packages.site_folders(sets)), "MPLBACKEND": "Agg",
                   "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run([sys.executable, "-c", _RUNNER], input=json.dumps({"collect": collect, "programs": moved}), text=True,
                              capture_output=True, env=environment, cwd=data, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"gold programs took more than {TIMEOUT_S:.0f} s: ask for fewer tasks") from None
    if done.returncode != 0:
        raise Disagreement(f"gold programs could not be run: {done.stderr[-2000:]}")
    replies = json.loads(done.stdout)
    for (source, _), reply in zip(programs, replies, strict=True):
        if "error" in reply:
            raise Disagreement(f"a gold program fails: {reply['error']}\n{source}")
    return [plain(reply["records"]) for reply in replies]


def plain(value: Any) -> Any:
    """NaN and infinities as the grading boxes write them."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None if value != value else "inf" if value > 0 else "-inf"
    return value
