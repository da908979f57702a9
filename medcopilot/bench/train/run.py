"""Runs the cases that a file of results does not have yet.

Promises: resumable: a case that has figures, or did not fit, on this machine is not run again; every row is on disk before the
next case starts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from env.errors import UserError
from medcopilot.bench.train import results
from medcopilot.bench.train.cases import FULL, TINY, Case
from medcopilot.bench.train.measure import machine, measure


def run(path: Path, cases: Sequence[Case], *, tiny: bool = False, steps: int = 5, warm: int = 2) -> int:
    """Measure and write. Returns the number of cases that failed.

    Args:
        tiny: toy width and short rows, on a CPU too.

    Raises:
        UserError: no GPU for real sizes, or a file that holds something else.
    """
    if not tiny and not torch.cuda.is_available():
        raise UserError("there is no CUDA GPU here: add --tiny to run every step at toy width on the CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scale = TINY if tiny else FULL
    rows = results.load(path)
    known = results.done(rows)
    here = machine(device)
    failed = 0
    for number, case in enumerate(cases, start=1):
        label = f"[{number}/{len(cases)}] {case.name}"
        if results.key({"case": case.name, **here, "scale": scale._asdict()}) in known:
            print(f"{label}: measured before", file=sys.stderr)
            continue
        row = measure(case, scale, device, steps=steps, warm=warm)
        results.add(path, rows, row)
        failed += row["status"] == "failed"
        print(f"{label}: {_told(row)}", file=sys.stderr, flush=True)
    return failed


def _told(row: dict[str, object]) -> str:
    if row["status"] != "ok":
        return f"{row['status']}: {row['reason']}"
    memory = f", {row['peak_bytes'] / 2**30:.1f} GiB" if isinstance(row["peak_bytes"], int) else ""
    share = f", MFU {row['mfu']:.1%}" if isinstance(row["mfu"], float) else ""
    return f"{row['seconds']:.3g} s, {row['tokens_per_second']:,.0f} tokens/s{share}{memory}"
