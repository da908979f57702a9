"""A run is a folder: config, digest, traces, index, checkpoints, metrics, summary, report.

    runs/<name>/{config.json, digest, traces/<worker>.jsonl, index.sqlite, checkpoints/, metrics/, summary.json, report.html}

Promises: the same config resumes; another config under the same name is refused with one sentence; one shard per writer, never
a shared append (a second writer of a shard is refused); a torn last line is cut off before appending and its trace is owed
again; the index follows the shards (`medcopilot.index`) and is never asked what they do not hold.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from env.errors import UserError
from env.files import atomic_write
from medcopilot.index import TraceIndex
from medcopilot.trace import Trace, read_traces, write_line
from medcopilot.trace_scan import ScannedTrace, scan_traces


def config_digest(config: dict[str, Any]) -> str:
    """BLAKE2b-128 of the canonical JSON of a config, in hex."""
    return hashlib.blake2b(json.dumps(config, sort_keys=True, ensure_ascii=False).encode(), digest_size=16).hexdigest()


def distinct(places: Iterable[Path]) -> list[Path]:
    """Each place once, under its first spelling (`runs/a`, `./runs/../runs/a`, a link to it)."""
    found: dict[Path, Path] = {}
    for place in places:
        found.setdefault(place.resolve(), place)
    return list(found.values())


OPTIONAL: Mapping[str, Any] = {"without": [], "turns": None, "loop_guard": False}
"""Settings that a sampling record leaves out where they are not used, so that runs from before there were such settings resume."""


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
        run = cls(path)
        if not cls.begun(path, config):
            for folder in (run.traces_dir, run.metrics_dir):
                folder.mkdir(parents=True, exist_ok=True)
            atomic_write(path / "config.json", json.dumps(config, indent=2, ensure_ascii=False))
            atomic_write(path / "digest", config_digest(config) + "\n")
        return run

    @staticmethod
    def begun(path: Path, config: dict[str, Any]) -> bool:
        """The folder holds a run with this config; false where it holds none.

        Raises:
            UserError: the folder holds a run with another config.
        """
        if not (path / "digest").exists():
            return False
        if (path / "digest").read_text().strip() != config_digest(config):
            raise UserError(f"{path} holds a run with another config ({_difference(path, config)}): choose another name or "
                            "delete the folder")
        return True

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open for reading.

        Raises:
            UserError: not a run folder.
        """
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path} is not a run folder (it does not exist): give the folder that `medcopilot sample` wrote")
        if not (path / "config.json").exists():
            raise UserError(f"{path} is not a run folder (no config.json): give the folder that `medcopilot sample` wrote")
        return cls(path)

    @property
    def config(self) -> dict[str, Any]:
        try:
            config = json.loads((self.path / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / 'config.json'} cannot be read ({error}): restore it or sample again") from None
        if not isinstance(config, dict):
            raise UserError(f"{self.path / 'config.json'} holds no settings: restore it or sample again")
        return config

    def traces(self) -> Iterator[Trace]:
        """All traces of all shards, in shard order. Torn last lines are left out."""
        for shard in sorted(self.traces_dir.glob("*.jsonl")):
            yield from read_traces(shard)

    def scan(self, torn: list[str] | None = None) -> Iterator[ScannedTrace]:
        """The same without their token lists, which training alone reads; torn last lines are reported through `torn`."""
        for shard in sorted(self.traces_dir.glob("*.jsonl")):
            yield from scan_traces(shard, torn)

    @property
    def index(self) -> TraceIndex:
        """One row per trace; `refresh()` it before reading."""
        return TraceIndex(self.path / "index.sqlite", self.traces_dir)

    def done(self) -> set[str]:
        """Ids of the traces that are there and not masked: those are owed again."""
        index = self.index
        index.refresh()
        return index.ids()

    @contextmanager
    def alone(self, patience: float = 30.0) -> Iterator[None]:
        """No other process samples into this run: its lock is ours, and no shard has a writer.

        Args:
            patience: seconds to wait for writers of a run that was stopped: they end with it, but not in the same instant.

        Raises:
            UserError: somebody is writing.
        """
        with (self.path / ".lock").open("a") as handle:
            if not _lock(handle):
                raise UserError(f"{self.path} is being written by another process: wait for it, or stop it first")
            deadline = time.monotonic() + patience
            while busy := [shard for shard in sorted(self.traces_dir.glob("*.jsonl")) if not _free(shard)]:
                if time.monotonic() > deadline:
                    raise UserError(f"{busy[0]} is being written by another process: wait for it, or stop it first")
                time.sleep(0.1)
            yield

    def writer(self, worker: str = "main") -> ShardWriter:
        """A writer of its own shard."""
        return ShardWriter(self.traces_dir / f"{worker}.jsonl")

    def claim(self, prefix: str) -> ShardWriter:
        """A writer of the first shard `PREFIX-0`, `PREFIX-1`, ... that has none."""
        for number in itertools.count():
            with contextlib.suppress(ShardTaken):
                return self.writer(f"{prefix}-{number}")
        raise AssertionError

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Set these keys of `summary.json`; others that are there stay."""
        path = self.path / "summary.json"
        try:
            found = json.loads(path.read_text()) if path.exists() else {}
        except ValueError:
            found = {}
        found = found if isinstance(found, dict) else {}
        atomic_write(path, json.dumps({**found, **summary}, indent=2, ensure_ascii=False))


_SYNC_EVERY = 64


class ShardTaken(UserError):
    """Another writer has this shard."""


class ShardWriter:
    """Appends whole lines to one shard. Use as a context manager.

    When `write` returns, the trace is with the kernel: a process that is killed loses nothing that it has written. A machine that
    loses power may lose what was not synced yet: fewer than twice `_SYNC_EVERY` traces, since the disk is waited for in a thread
    beside the writer, and by the writer itself only when it is a whole stretch ahead.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = path.open("ab")
        if not _lock(self._handle):
            self._handle.close()
            raise ShardTaken(f"{path} is being written by another process: wait for it, or stop it first")
        _cut_torn_line(path)
        self._unsynced = 0
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._syncing: Future[None] | None = None

    def write(self, trace: Trace) -> None:
        self._handle.write(write_line(trace).encode())
        self._handle.flush()
        self._unsynced += 1
        if self._unsynced >= _SYNC_EVERY:
            self._synced()
            self._syncing = self._disk.submit(os.fsync, self._handle.fileno())
            self._unsynced = 0

    def sync(self) -> None:
        """Wait until the disk has everything."""
        self._synced()
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._unsynced = 0

    def _synced(self) -> None:
        """Wait for the sync under way; its failure is raised here."""
        if (under_way := self._syncing) is not None:
            self._syncing = None
            under_way.result()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            self.sync()
        finally:
            self._disk.shutdown()
            self._handle.close()


def _lock(handle: IO[Any]) -> bool:
    """Take an open file's lock, if it is free. On a file system without locks it always is."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _free(path: Path) -> bool:
    """Whether nobody holds a file's lock."""
    with path.open("ab") as handle:
        return _lock(handle)


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
        old = None
    if not isinstance(old, dict):
        return "its config.json cannot be read"
    keys = [key for key in {**old, **config} if old.get(key) != config.get(key)]
    return "different: " + ", ".join(sorted(keys)[:5])
