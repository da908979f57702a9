"""What runs on this machine, as the tests of boxes see it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes(marker: str) -> set[int]:
    """Those with these words on their command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.replace(" ", "\0").encode() in line:
                found.add(int(entry.name))
    return found


def left_behind(marker: str) -> set[int]:
    """Those that are our children or nobody's."""
    return {pid for pid in processes(marker) if _parent(pid) in (1, os.getpid())}


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def running(marker: str) -> bool:
    """True while a process with these words on its command line is there."""
    return bool(processes(marker))


def alive(pid: int) -> bool:
    """False when it is dead, also while nobody has reaped it."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Ask until it holds; False when it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False
