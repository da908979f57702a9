"""A run is a folder: config, digest, traces, index, checkpoints, metrics, summary, report.

    runs/<name>/{config.json, digest, traces/<worker>.jsonl, index.sqlite, checkpoints/, metrics/, summary.json, report.html}

Promises: the same config resumes; another config under the same name is refused with one sentence; one shard per writer, never
a shared append (a second writer of a shard is refused); a torn last line is cut off before appending and its trace is owed
again; the index is rebuilt when it is missing or does not match the shards.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from env.errors import UserError
from env.files import atomic_write
from medcopilot.trace import Trace, read_traces, write_line


def config_digest(config: dict[str, Any]) -> str:
    """BLAKE2b-128 of the canonical JSON of a config, in hex."""
    return hashlib.blake2b(json.dumps(config, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).hexdigest()


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.traces_dir = path / "traces"
        self.metrics_dir = path / "metrics"

    @classmethod
    def create(cls, path: Path, config: dict[str, Any]) -> RunFolder:
        """Open for writing: new, or the same config again.

        Raises:
            UserError: the folder holds a run with another config.
        """
        run, digest = cls(path), config_digest(config)
        if (path / "digest").exists():
            found = (path / "digest").read_text().strip()
            if found != digest:
                raise UserError(f"{path} holds a run with another config ({_difference(path, config)}): choose another name or "
                                "delete the folder")
        else:
            for folder in (run.traces_dir, run.metrics_dir):
                folder.mkdir(parents=True, exist_ok=True)
            atomic_write(path / "config.json", json.dumps(config, indent=2, ensure_ascii=False))
            atomic_write(path / "digest", digest + "\n")
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open for reading.

        Raises:
            UserError: not a run folder.
        """
        if not (path / "config.json").exists():
            raise UserError(f"{path} is not a run folder (no config.json): give the folder that `medcopilot sample` wrote")
        return cls(path)

    @property
    def config(self) -> dict[str, Any]:
        try:
            config: dict[str, Any] = json.loads((self.path / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / 'config.json'} cannot be read ({error}): restore it or sample again") from None
        return config

    def traces(self) -> Iterator[Trace]:
        """All traces of all shards, in shard order. Torn last lines are left out."""
        for shard in sorted(self.traces_dir.glob("*.jsonl")):
            yield from read_traces(shard)

    def done(self) -> set[str]:
        """Ids of the traces that are there. Rebuilds the index when it does not match the shards."""
        index = self.path / "index.sqlite"
        shards = {shard.name: shard.stat().st_size for shard in sorted(self.traces_dir.glob("*.jsonl"))}
        if index.exists():
            try:
                with sqlite3.connect(index) as database:
                    known = dict(database.execute("select name, size from shard"))
                    if known == shards:
                        return {row[0] for row in database.execute("select id from trace")}
            except sqlite3.DatabaseError:
                pass
        return self.rebuild_index()

    def rebuild_index(self) -> set[str]:
        """Read every shard and write `index.sqlite` anew (beside, then renamed)."""
        partial = self.path / f".index.{os.getpid()}.partial"
        partial.unlink(missing_ok=True)
        ids: set[str] = set()
        with sqlite3.connect(partial) as database:
            database.executescript("create table shard(name text primary key, size int);"
                                   "create table trace(id text primary key, task_id text, shard text, stop text, score real)")
            for shard in sorted(self.traces_dir.glob("*.jsonl")):
                size = shard.stat().st_size
                for trace in read_traces(shard):
                    if trace.stop == "infrastructure":
                        continue  # owed again
                    ids.add(trace.id)
                    database.execute("insert or replace into trace values (?,?,?,?,?)",
                                     (trace.id, trace.task_id, shard.name, trace.stop, trace.grades["strict"].score))
                database.execute("insert into shard values (?,?)", (shard.name, size))
        database.close()
        partial.replace(self.path / "index.sqlite")
        return ids

    def writer(self, worker: str = "main") -> ShardWriter:
        """A writer of its own shard."""
        return ShardWriter(self.traces_dir / f"{worker}.jsonl")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Set these keys of `summary.json`; others that are there stay."""
        path = self.path / "summary.json"
        try:
            found = json.loads(path.read_text()) if path.exists() else {}
        except ValueError:
            found = {}
        atomic_write(path, json.dumps({**found, **summary}, indent=2, ensure_ascii=False))


class ShardWriter:
    """Appends whole lines to one shard. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = path.open("ab")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._handle.close()
            raise UserError(f"{path} is being written by another process: wait for it, or stop it first") from None
        except OSError:  # a file system without locks
            pass
        _cut_torn_line(path)
        self._unsynced = 0

    def write(self, trace: Trace) -> None:
        self._handle.write(write_line(trace).encode())
        self._unsynced += 1
        if self._unsynced >= 64:
            self.sync()

    def sync(self) -> None:
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._unsynced = 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.sync()
        self._handle.close()


def _cut_torn_line(path: Path) -> None:
    """Drop what follows the last newline: a line whose writer was stopped in the middle. One that lacks nothing but its newline
    gets it: readers have counted it already."""
    with path.open("r+b") as handle:
        size = handle.seek(0, os.SEEK_END)
        position, tail = size, b""
        while position > 0 and b"\n" not in tail:
            step = min(65_536, position)
            position = handle.seek(position - step)
            tail = handle.read(step) + tail
        tail = tail.rpartition(b"\n")[2]
        if not tail:
            return
        try:
            json.loads(tail)
        except ValueError:
            handle.truncate(size - len(tail))
        else:
            handle.seek(0, os.SEEK_END)
            handle.write(b"\n")


def _difference(path: Path, config: dict[str, Any]) -> str:
    try:
        old = json.loads((path / "config.json").read_text())
    except (OSError, ValueError):
        return "its config.json cannot be read"
    keys = [key for key in {**old, **config} if old.get(key) != config.get(key)]
    return "different: " + ", ".join(sorted(keys)[:5])
