"""Folders that appear whole or not at all.

Promises: readers see the old folder or the new one, never half of one; a stopped writer leaves only a `.partial` beside it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_folder(folder: Path, fill: Callable[[Path], object]) -> None:
    """Call `fill` with an empty folder beside `folder`, then put it in its place (an old one is replaced)."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        fill(partial)
        for path in partial.rglob("*"):
            if path.is_file():
                with path.open("rb") as handle:
                    os.fsync(handle.fileno())
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{os.getpid()}.old.partial")
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            partial.rename(folder)
            shutil.rmtree(old)
        else:
            partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
