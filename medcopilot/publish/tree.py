"""The files of a staged folder: what `--dry-run` shows is what a commit holds.

Promises: every regular file by its path with `/`, sorted, with size and SHA-256; hidden files, links and half-written ones are an
error or left out before, never sent unseen. What a staged folder takes the place of was staged before, or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from env.errors import UserError
from env.files import visible
from medcopilot.train.folders import write_folder

MARK = ".staged"
"""Hidden file of a folder that was staged here: it may be replaced, and is not published."""


class File(NamedTuple):
    """One file of the tree."""

    path: str
    size: int
    """Bytes."""
    sha256: str


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but what was staged before: it would be replaced.

    Raises:
        UserError: it does, or it is a file.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file()):
        raise UserError(f"{out}: something else than a staged folder is there, which would be lost: choose another --out, or "
                        "delete it")


def stage(out: Path, fill: Callable[[Path], object]) -> None:
    """Call `fill` with an empty folder beside `out`, then put it in its place.

    Raises:
        UserError: something else is there.
    """
    check_out(out)

    def filled(partial: Path) -> None:
        fill(partial)
        (partial / MARK).write_text("")

    write_folder(out, filled)


def files_of(folder: Path) -> list[Path]:
    """What is published of a folder, sorted by path: hidden files and folders stay here.

    Raises:
        UserError: a link, which would lead elsewhere.
    """
    found = []
    for path in visible(folder):
        if path.is_symlink():
            raise UserError(f"{path}: links are not published: put the file itself in its place")
        if path.is_file():
            found.append(path)
    return found


def tree(folder: Path) -> list[File]:
    """The files of a folder."""
    files = []
    for path in files_of(folder):
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        files.append(File(path.relative_to(folder).as_posix(), path.stat().st_size, digest))
    return files


def show(files: list[File]) -> str:
    """One line per file: size, first digits of the SHA-256, path; then the sum."""
    lines = [f"{file.size:>15,}  {file.sha256[:12]}  {file.path}" for file in files]
    return "\n".join([*lines, f"{sum(file.size for file in files):>15,}  bytes in {len(files)} files"])
