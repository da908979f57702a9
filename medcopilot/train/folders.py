"""Folders that appear whole or not at all.

Promises: readers see the old folder or the new one, never half of one; a stopped writer leaves only a `.partial` beside it. Of two
processes that would work in one folder the second is refused (on file systems with POSIX locks).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from env.errors import UserError

_held: dict[Path, int] = {}


def hold(folder: Path) -> None:
    """Keep other processes from working in this folder, by a lock beside it, for as long as this one lives.

    Raises:
        UserError: another one does.
    """
    folder = folder.absolute()
    if folder in _held:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        who = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise UserError(f"{folder}: another process (pid {who}) is at work here: wait for it, or stop it and run again") from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    _held[folder] = handle


def holder(folder: Path) -> int | None:
    """Id of the process that keeps `folder` by `hold`, None when none does or its file system has no locks. Looks only."""
    folder = folder.absolute()
    if folder in _held:
        return os.getpid()
    question = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # struct flock of Linux on 64 bits
    try:
        handle = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        kind, _, _, _, pid = struct.unpack("hhqqi", fcntl.fcntl(handle, fcntl.F_GETLK, question))
    except OSError:
        return None
    finally:
        os.close(handle)
    return pid if kind != fcntl.F_UNLCK else None


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
