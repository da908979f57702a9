"""Small file helpers: writing whole or not at all, digests, what lies in a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from env.errors import UserError


def atomic_write(path: Path, data: str | bytes) -> None:
    """Write, fsync, rename: readers see the old content or the new, never half of it.

    Raises:
        UserError: a folder is there.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file, e.g. one in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as handle:
            handle.write(data.encode() if isinstance(data, str) else data)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def file_digest(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def visible(folder: Path) -> Iterator[Path]:
    """What lies below a folder, sorted by path, but for hidden files and folders and Python's caches."""
    for path in sorted(folder.rglob("*")):
        if not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts):
            yield path
