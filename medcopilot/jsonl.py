"""Files with one JSON object per line that one process appends to and others read: metrics, alarms.

Promises: a torn last line, left by a writer that was stopped in the middle, is passed over by every reader and never merged with
the next row; a `Tail` reads each line once, however often it is asked, and notices when the file was replaced.
Does not cover: traces, which have their own versioned reader (`medcopilot.trace`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from env.files import atomic_write


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add one object as one line; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All whole rows; none when there is no file."""
    return Tail(path).read(whole=True)


def forget_after(path: Path, step: int) -> None:
    """Drop rows of later steps, which a resumed run will write again, and lines that are no rows."""
    if path.is_file():
        kept = [row for row in read_rows(path) if row.get("step", step + 1) <= step]
        if kept:
            atomic_write(path, "".join(json.dumps(row) + "\n" for row in kept))
        else:
            path.unlink(missing_ok=True)


class Tail:
    """Reads what was added to a file since it was last asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = 0
        self._offset = 0
        self.replaced = False
        """Whether the last `read` began again, at a file that was replaced or cut."""

    def read(self, whole: bool = False) -> list[dict[str, Any]]:
        """New rows in order. A last line without its end is left for the next time (`whole`: taken if it is a complete row)."""
        try:
            with self.path.open("rb") as handle:
                status = self.path.stat()
                self.replaced = bool(self._inode) and (status.st_ino != self._inode or status.st_size < self._offset)
                if self.replaced:
                    self._offset = 0
                self._inode = status.st_ino
                handle.seek(self._offset)
                data = handle.read()
        except OSError:  # not there yet, or gone while it was being replaced
            return []
        end = len(data) if whole else data.rfind(b"\n") + 1
        self._offset += end
        return [row for line in data[:end].splitlines() if (row := _row(line)) is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
