"""Places that options name, looked at before a command begins."""

from __future__ import annotations

from pathlib import Path

from env.errors import UserError


def no_folder(path: Path | None) -> Path | None:
    """The file that an option is to write, as it was given.

    Raises:
        UserError: a folder is there.
    """
    if path is not None and path.is_dir():
        raise UserError(f"{path} is a folder: name a file, e.g. {path / 'out.json'}")
    return path
