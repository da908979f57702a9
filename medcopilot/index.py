"""The index of a run: one row per trace with where it lies, so that resuming and viewing read a table, not a gigabyte.

Promises: what was added to the shards since the last look is all that is read; an index that is missing, damaged, of another
version or ahead of its shards is made anew; a torn last line is not counted until it is whole. One row per id: a trace that was
masked gives way to one that was not.
Does not cover: checking traces (`medcopilot.trace` does, when they are read).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from env.errors import UserError
from medcopilot.trace import outcome_of, used_tokens
from medcopilot.trace_scan import without_tokens

VERSION = 3
COLUMNS = ("id", "task_id", "dataset", "category", "template", "slice", "sample", "stop", "outcome", "label", "score", "paper",
           "turns", "tokens", "seconds", "shard", "offset", "size")
"""`outcome` as `medcopilot.trace.outcome_of`, `label` of the strict grade."""
_TOLD_EVERY = 16_000_000  # bytes
_SCHEMA = f"""
create table shard(name text primary key, size int);
create table trace(id text primary key, task_id text, dataset text, category text, template text, slice text, sample int, stop text,
                   outcome text, label text, score real, paper real, turns int, tokens int, seconds real, shard text, offset int,
                   size int) without rowid;
create index trace_by_place on trace(shard, offset);
pragma user_version = {VERSION};
"""
_INSERT = (f"insert into trace values ({','.join('?' * len(COLUMNS))}) on conflict(id) do update set "
           + ",".join(f"{name}=excluded.{name}" for name in COLUMNS[1:]) + " where trace.stop = 'infrastructure'")


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Grade(_Loose):
    score: float | None = None
    label: str = ""


class _Grades(_Loose):
    strict: _Grade
    paper: _Grade | None = None


class _Turn(_Loose):
    sampled_tokens: int | None = None


class _Head(_Loose):
    """What the index keeps of a trace; everything else is skipped while parsing."""

    id: str
    task_id: str
    dataset: str = ""
    category: str = ""
    template: str = ""
    slice: str = ""
    sample: int = 0
    stop: str
    grades: _Grades
    turns: list[_Turn] = []
    completion_tokens: int | None = None
    seconds: float = 0.0
    tokens: _Loose | None = None


class TraceIndex:
    """`index.sqlite` of one run folder."""

    def __init__(self, path: Path, shards: Path) -> None:
        self.path = path
        self._shards = shards

    def refresh(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Take in what the shards have gained. A shard that shrank or vanished makes the whole index anew.

        Args:
            tell: called now and then with how many bytes were read since the last call.

        Raises:
            UserError: a line that is no trace, with its place and the cure.
        """
        found = {shard.name: shard.stat().st_size for shard in sorted(self._shards.glob("*.jsonl"))}
        known = self._known()
        if known is None or any(found.get(name, -1) < size for name, size in known.items()):
            self._rebuild(found, tell)
            return
        grown = {name: size for name, size in found.items() if size > known.get(name, 0)}
        if grown:
            with _open(self.path) as database:
                for name in grown:
                    self._take(database, name, known.get(name, 0), tell)

    def ids(self, *, masked: bool = False) -> set[str]:
        """Ids of the traces that count; with `masked`, of the others too."""
        with _open(self.path) as database:
            return {row[0] for row in database.execute("select id from trace where ? or stop != 'infrastructure'", (masked,))}

    def rows(self, where: str = "1", values: tuple[Any, ...] = (), order: str = "shard, offset", *, start: int = 0,
             count: int = -1) -> Iterator[dict[str, Any]]:
        """Rows as dicts. `where` and `order` are SQL of ours over `COLUMNS`, never what a user typed; `values` may be.

        Args:
            start: so many are passed over.
            count: at most so many; -1: all.
        """
        with _open(self.path) as database:
            for row in database.execute(f"select * from trace where {where} order by {order} limit ? offset ?",
                                        (*values, count, start)):
                yield dict(zip(COLUMNS, row, strict=True))

    def count(self, where: str = "1", values: tuple[Any, ...] = ()) -> int:
        """How many rows there are; `where` as in `rows`."""
        with _open(self.path) as database:
            return int(database.execute(f"select count(*) from trace where {where}", values).fetchone()[0])

    def counts(self, column: str) -> list[tuple[Any, int]]:
        """Values of one of `COLUMNS` with the number of their rows, the most frequent first."""
        with _open(self.path) as database:
            return list(database.execute(f"select {column}, count(*) from trace group by 1 order by 2 desc, 1"))

    def _known(self) -> dict[str, int] | None:
        """Shards and how much of each was read; None where there is no index to go on with."""
        if not self.path.exists():
            return None
        try:
            with _open(self.path) as database:
                if database.execute("pragma user_version").fetchone()[0] != VERSION:
                    return None
                return dict(database.execute("select name, size from shard"))
        except sqlite3.DatabaseError:
            return None

    def _rebuild(self, found: dict[str, int], tell: Callable[[int], None]) -> None:
        """Written beside and renamed."""
        for leftover in self.path.parent.glob(".index.*.partial*"):
            if not Path("/proc", leftover.name.split(".")[2]).exists():  # its maker was stopped
                leftover.unlink(missing_ok=True)
        partial = self.path.with_name(f".index.{os.getpid()}.{uuid4().hex}.partial")
        try:
            with _open(partial) as database:
                database.executescript(_SCHEMA)
                for name in found:
                    self._take(database, name, 0, tell)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def _take(self, database: sqlite3.Connection, name: str, start: int, tell: Callable[[int], None]) -> None:
        """Add what a shard holds from byte `start` on."""
        end = told = start
        with (self._shards / name).open("rb") as handle:
            handle.seek(start)
            for line in handle:
                head = _head(line, self._shards / name, end)
                if head is None and not line.endswith(b"\n"):
                    break  # its writer is in the middle of it, or was stopped there
                if head is not None:
                    database.execute(_INSERT, (*head, name, end, len(line)))
                end += len(line)
                if end - told >= _TOLD_EVERY:
                    tell(end - told)
                    told = end
        database.execute("insert or replace into shard values (?,?)", (name, end))


def _head(line: bytes, path: Path, offset: int) -> tuple[Any, ...] | None:
    if not line.strip():
        return None
    try:
        head = without_tokens(_Head, line)[0]
    except ValidationError:
        if not line.endswith(b"\n"):
            return None
        raise UserError(f"{path} byte {offset}: not a trace: delete that line and run the command again") from None
    sampled = [turn.sampled_tokens for turn in head.turns]
    _, tokens = used_tokens(sampled, None, head.completion_tokens, head.stop == "infrastructure")
    paper = head.grades.paper.score if head.grades.paper else None
    strict = head.grades.strict
    return (head.id, head.task_id, head.dataset, head.category, head.template, head.slice, head.sample, head.stop,
            outcome_of(head.stop, strict.score, paper), strict.label, strict.score, paper, len(head.turns), tokens, head.seconds)


class _open:
    """A connection that commits when all went well, and is closed."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)

    def __enter__(self) -> sqlite3.Connection:
        return self._database

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self._database.commit()
        self._database.close()
