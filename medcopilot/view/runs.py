"""Runs to look at: rows of an index, one trace at a time, words found in a gigabyte.

Promises: a trace is read from where the index says it lies, nothing else is loaded; a run that somebody else owns is indexed
in a temporary file; words are found in the shards as they stand, letter by letter, and only where they were said or printed
(`said`): not in the names of fields, in numbers or in token lists.
Does not cover: the page (`medcopilot.view.server`).
"""

from __future__ import annotations

import bisect
import json
import mmap
import os
import re
import sqlite3
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.index import TraceIndex
from medcopilot.report.trajectories import card
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace
from medcopilot.trace_scan import Place

FACETS = ("outcome", "dataset", "category", "stop", "label", "slice")
"""Columns of the index that can be filtered by."""
WHOLE = 1_000_000
"""Characters of one text: more than a person reads, less than a browser minds."""
_STRETCH = 8 << 20
"""Bytes that a search reads at a time."""
_KEPT_SEARCHES = 16
_BACKSLASH = ord("\\")


_SAID = re.compile(rb'"(?:content|reply|observation|guard)":"([^"\\]*(?:\\.[^"\\]*)*)"|"params":(\{.*?\}),"problem":"', re.DOTALL)
"""A text of a message or turn, or the parameters that an action was given. No text holds these beginnings: in a text, a quote has a
backslash before it."""
_TURNS_END = b'],"tokens":'
_ERROR = b',"error":"'
_TEXT = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)
"""A JSON text, from behind its first quote to its last."""


def said(lines: bytes, needle: bytes, start: int, end: int) -> bool:
    """Whether a trace's line, `lines[start:end]`, holds the needle in what was said and printed, or in the failure that masked the
    episode. Both as JSON, in small letters."""
    first = lines.find(b'"messages":[', start, end)
    last = lines.find(_TURNS_END, first, end)
    # where a policy wrote the same into its parameters it comes again: then all of the line is looked at
    if last < 0 or lines.find(_TURNS_END, last + 1, end) >= 0:
        last = end
    if first < 0:
        return False
    if lines.find(needle, first, last) >= 0 and any(
            _holds(lines, needle, *text.span(text.lastindex or 0)) for text in _SAID.finditer(lines, first, last)):
        return True
    error = lines.rfind(_ERROR, first, end)  # from the end: only numbers come after this field, long token lists before it
    failure = _TEXT.match(lines, error + len(_ERROR), end) if error >= 0 else None
    return failure is not None and _holds(lines, needle, *failure.span())


def _holds(lines: bytes, needle: bytes, inside: int, after: int) -> bool:
    """Whether the needle begins at a letter of the JSON text `lines[inside:after]`."""
    at = lines.find(needle, inside, after)
    while at >= 0:
        before = at
        while before > inside and lines[before - 1] == _BACKSLASH:
            before -= 1
        if (at - before) % 2 == 0:  # else its first letter is the second half of an escape: the n of a new line
            return True
        at = lines.find(needle, at + 1, after)
    return False


class ViewedRun:
    """One run folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        run = RunFolder.open(folder)
        self.folder, self._shards = folder, run.traces_dir
        self.name = folder.name
        if os.access(folder, os.W_OK):
            self._index = run.index
        else:
            self._beside = tempfile.TemporaryDirectory(prefix="medcopilot-view-")
            self._index = TraceIndex(Path(self._beside.name) / "index.sqlite", run.traces_dir)
        self.size = sum(shard.stat().st_size for shard in run.traces_dir.glob("*.jsonl"))
        self.done = 0
        """Bytes of the shards that were read for the index so far."""
        self.ready = False
        self.trouble = ""
        self._total = 0
        self._facets: dict[str, list[tuple[Any, int]]] = {}
        self._guard = threading.Lock()
        self._found: dict[str, set[str]] = {}

    def prepare(self) -> None:
        """Bring the index up to date; meant for a thread of its own."""
        try:
            self._index.refresh(self._count)
            self._total = self._index.count()
            self._facets = {name: self._index.counts(name)[:200] for name in FACETS}
        except (UserError, OSError, sqlite3.Error) as error:
            self.trouble = str(error)
        self.ready = True

    def _count(self, read: int) -> None:
        self.done += read

    def state(self) -> dict[str, Any]:
        """Name, size, whether it can be asked, and what can be filtered by."""
        return {"name": self.name, "folder": str(self.folder), "bytes": self.size, "done": self.done, "ready": self.ready,
                "trouble": self.trouble, "traces": self._total, "facets": self._facets}

    def rows(self, wanted: dict[str, str], start: int, count: int) -> dict[str, Any]:
        """A page of rows that fit `wanted` (facets, `task`, `text`), and how many fit in all."""
        where, values = ["1"], []
        for name in FACETS:
            if wanted.get(name):
                where.append(f"{name} = ?")
                values.append(wanted[name])
        if wanted.get("task"):
            where.append("instr(lower(task_id || ' ' || template || ' ' || id), lower(?))")
            values.append(wanted["task"])
        if not wanted.get("text"):
            page = self._index.rows(" and ".join(where), tuple(values), start=start, count=count)
            return {"total": self._index.count(" and ".join(where), tuple(values)), "rows": list(page)}
        found = self._search(wanted["text"])
        fits = [row for row in self._index.rows(" and ".join(where), tuple(values)) if row["id"] in found]
        return {"total": len(fits), "rows": fits[start : start + count]}

    def episode(self, name: str) -> Trace | None:
        """One trace by its id."""
        row = next(self._index.rows("id = ?", (name,)), None)
        return Place(self._shards / row["shard"], row["offset"], row["size"]).read() if row is not None else None

    def same_task(self, task: str, sample: int) -> str | None:
        """Id of this run's rollout of a task: the same sample, else the first."""
        rows = sorted(self._index.rows("task_id = ?", (task,)), key=lambda row: (row["sample"] != sample, row["sample"]))
        return rows[0]["id"] if rows else None

    def _search(self, text: str) -> set[str]:
        """Ids of the traces in which these letters were said or printed, A to Z as large or small ones."""
        with self._guard:
            if text not in self._found:
                if len(self._found) >= _KEPT_SEARCHES:
                    self._found.pop(next(iter(self._found)))
                self._found[text] = self._scan(json.dumps(text, ensure_ascii=False)[1:-1].encode().lower())
            return self._found[text]

    def _scan(self, needle: bytes) -> set[str]:
        places: dict[str, tuple[list[int], list[int], list[str]]] = {}
        for row in self._index.rows():
            offsets, ends, names = places.setdefault(row["shard"], ([], [], []))
            offsets.append(row["offset"])
            ends.append(row["offset"] + row["size"])
            names.append(row["id"])
        found = set()
        for shard, (offsets, ends, names) in places.items():
            with (self._shards / shard).open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                first = 0
                while first < len(offsets):  # whole traces, about `_STRETCH` bytes: a copy in small letters is searched faster
                    start = offsets[first]
                    after = max(first + 1, bisect.bisect_right(offsets, start + _STRETCH))
                    letters = data[start : ends[after - 1]].lower()
                    at = letters.find(needle)
                    while at >= 0:
                        number = bisect.bisect_right(offsets, start + at) - 1
                        end = ends[number] - start
                        # between two rows lie episodes that were masked and played again
                        if at < end and said(letters, needle, offsets[number] - start, end):
                            found.add(names[number])
                        at = letters.find(needle, offsets[number + 1] - start) if number + 1 < after else -1
                    first = after
        return found


def open_runs(folders: list[Path]) -> list[ViewedRun]:
    """Runs under names that differ."""
    runs = [ViewedRun(folder) for folder in folders]
    names = Counter(run.name for run in runs)
    for run in runs:
        if names[run.name] > 1:
            run.name = f"{run.folder.absolute().parent.name}/{run.name}"
    return runs


def shown(run: ViewedRun, trace: Trace) -> dict[str, Any]:
    """What the page says of one episode."""
    return card(run.name, trace, 0, limit=WHOLE)
