"""EHRSQL's own files as tasks: question files, database, official split.

Promises: reads `train.json`, `valid.json`, `test.json` (also `.gz`) with `mimic_iii.sqlite`, or questions re-instantiated on the
open demo (`ehrsql_mimic_iii_demo_tasks.jsonl`) with its database. References come from running the post-processed gold SQL on the
database at hand. Gold that does not run is dropped and counted in `dropped.json`; a query whose answer depends on the order in
which ties are read gets every answer that such an order gives. A missing or malformed file is a `UserError`.
Does not cover: building the database from MIMIC-III (EHRSQL's own `preprocess_db.py` does that).
"""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from env.datasets.base import BuildRequest, Progress
from env.datasets.mimic_iii.ehrsql_sql import category, is_yes_no, post_process
from env.datasets.mimic_iii.tasks import DESCRIPTION
from env.datasets.mimic_iii.template import sql_hints
from env.datasets.mimic_iii.ties import tied_answers
from env.errors import UserError
from env.files import atomic_write
from env.task import DataFile, Slice, Split, Task, TaskKey, TaskView, make_task

DATABASE = "mimic_iii.sqlite"
DEMO_DATABASE = "mimic_iii_demo_ehrsql.sqlite"
DEMO_QUESTIONS = "ehrsql_mimic_iii_demo_tasks.jsonl"
SECONDS_PER_QUERY = 60.0
"""EHRSQL's own limit."""
MAX_ROWS = 10_000
Row = dict[str, Any]


class _Dropped(Exception):
    """A gold query that cannot be a task; the message says why."""


def adapt_source(request: BuildRequest, folder: Path, progress: Progress) -> Iterator[Task]:
    """Tasks of the real source, official split. `options`: `questions=official|demo` where a folder holds both.

    Raises:
        UserError: no questions, no database, an unreadable file, or a row without a field it needs.
    """
    assert request.source is not None
    source = request.source
    if not source.is_dir():
        raise UserError(f"mimic_iii: source {source} is not a folder: give the folder with EHRSQL's question files and database")
    rows = list(_questions(source, request.options.get("questions", "")))
    database = _database(source)
    licence = "CC-BY-4.0 AND ODbL-1.0" if database.name.startswith(DEMO_DATABASE) else "PhysioNet-credentialed"
    _unpack(database, folder / DATABASE)
    dropped: list[dict[str, str]] = []
    empty = done = 0
    with _Database(folder / DATABASE) as connection:
        for row in rows:
            done += 1
            progress("mimic_iii questions", done, len(rows))
            try:
                key = _key(row, connection)
            except _Dropped as error:
                dropped.append({"id": row["id"], "query": str(row["query"]), "reason": str(error)})
                continue
            empty += key.reference in ([], [[None]])
            yield _task(row, key, licence, request.seed)
    report = {"questions": len(rows), "tasks": len(rows) - len(dropped), "empty_answers": empty, "dropped": dropped}
    atomic_write(folder / "dropped.json", json.dumps(report, indent=1, ensure_ascii=False))


def _questions(source: Path, wanted: str) -> Iterator[Row]:
    if wanted not in ("", "official", "demo"):
        raise UserError(f"mimic_iii: option questions={wanted} is unknown: choose official or demo")
    demo = _find(source, (DEMO_QUESTIONS,))
    files = [found for name in ("train", "valid", "test") if (found := _find(source, (f"{name}.json",)))]
    nested = source / "mimic_iii"
    if not files and nested.is_dir():
        files = [found for name in ("train", "valid", "test") if (found := _find(nested, (f"{name}.json",)))]
    if demo and wanted != "official":
        yield from _demo_rows(demo)
    elif files and wanted != "demo":
        for path in files:
            yield from _official_rows(path)
    else:
        raise UserError(f"mimic_iii: no questions in {source}: put EHRSQL's train.json, valid.json or test.json there "
                        f"(github.com/glee4810/EHRSQL, dataset/ehrsql/mimic_iii), or {DEMO_QUESTIONS}")


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    candidates = (folder / (name + ending) for name in names for ending in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _database(source: Path) -> Path:
    names = (DATABASE, DEMO_DATABASE)
    found = _find(source, names) or _find(source / "mimic_iii", names) or _find(source.parent, names)
    if found is None:
        raise UserError(f"mimic_iii: no database in {source}: put {DATABASE} there (EHRSQL's preprocess_db.py builds it from "
                        "MIMIC-III)")
    return found


def _unpack(database: Path, target: Path) -> None:
    try:
        if database.suffix == ".gz":
            with gzip.open(database, "rb") as packed, target.open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            shutil.copyfile(database, target)
    except (OSError, EOFError) as error:
        raise UserError(f"{database} cannot be unpacked ({error}): fetch it again") from None


def _read(path: Path) -> str:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): fetch it again") from None


def _official_rows(path: Path) -> Iterator[Row]:
    try:
        rows = json.loads(_read(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): fetch it again from EHRSQL") from None
    if not isinstance(rows, list):
        raise UserError(f"{path} must hold a list of questions: fetch it again from EHRSQL")
    for number, row in enumerate(rows, start=1):
        _require(row, ("id", "question", "query", "is_impossible", "split"), f"{path} row {number}")
        if row.get("db_id", "mimic_iii") != "mimic_iii":
            raise UserError(f"{path} row {number}: field db_id is {row['db_id']!r}: this dataset takes the mimic_iii questions")
        yield {"id": str(row["id"]), "question": row["question"], "query": row["query"], "impossible": bool(row["is_impossible"]),
               "split": row["split"], "q_tag": row.get("q_tag") or "unanswerable", "value": row.get("value") or {}}


def _demo_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_read(path).splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path} line {number} is not JSON ({error}): fetch it again") from None
        _require(row, ("id", "question", "query", "q_tag", "source_split"), f"{path} line {number}")
        yield {"id": str(row["id"]), "question": row["question"], "query": row["query"], "impossible": False,
               "split": row["source_split"], "q_tag": row["q_tag"], "value": row.get("value") or {}}


def _require(row: Any, fields: tuple[str, ...], where: str) -> None:
    missing = [name for name in fields if not isinstance(row, dict) or name not in row]
    if missing:
        raise UserError(f"{where}: field {missing[0]} is missing: fetch the file again from EHRSQL")
    if row.get("split", row.get("source_split")) not in ("train", "valid", "test"):
        raise UserError(f"{where}: field split is {row.get('split', row.get('source_split'))!r}: it must be train, valid or test")


class _Database:
    """The unpacked database, read-only, with a time limit per query."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._deadline = 0.0

    def __enter__(self) -> _Database:
        self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        try:
            self._connection.execute("select count(*) from sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise UserError(f"{DATABASE} is not an SQLite database ({error}): "
                            "build it again with EHRSQL's preprocess_db.py") from None
        self._connection.set_progress_handler(lambda: int(time.monotonic() > self._deadline), 10_000)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str, *, reverse: bool = False) -> list[list[Any]]:
        """Rows of a query; `reverse` reads tables that the query leaves unordered backwards."""
        self._connection.execute(f"pragma reverse_unordered_selects = {'on' if reverse else 'off'}")
        self._deadline = time.monotonic() + SECONDS_PER_QUERY
        try:
            rows = [list(row) for row in self._connection.execute(sql).fetchmany(MAX_ROWS + 1)]
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _Dropped(f"{type(error).__name__}: {error}") from None
        if len(rows) > MAX_ROWS:
            raise _Dropped(f"more than {MAX_ROWS} rows")
        return rows


def _key(row: Row, connection: _Database) -> TaskKey:
    # The source's own id keeps two rows with the same question and query apart.
    hints: dict[str, Any] = {"tables": [], "columns": {}, "values": [], "source_id": row["id"]}
    if row["impossible"]:
        return TaskKey(reference=None, grader="ehr_answer", args={"impossible": True}, gold="", gold_language="sql", hints=hints)
    sql = post_process(str(row["query"]))
    rows = connection.rows(sql)
    args: dict[str, Any] = {}
    if is_yes_no(sql, row["q_tag"]):
        args["yes_no"] = True
    if alternatives := _alternatives(sql, rows, connection):
        args["alternatives"] = alternatives
    return TaskKey(reference=rows, grader="ehr_answer", args=args, gold=sql, gold_language="sql",
                   hints={**hints, **sql_hints(sql)})


def _alternatives(sql: str, rows: list[list[Any]], connection: _Database) -> list[list[list[Any]]]:
    """Other answers that another order of reading tied rows gives; row order alone makes no other answer."""
    found = {_sorted(rows): rows}
    try:
        for other in (connection.rows(sql, reverse=True), *tied_answers(sql, connection.rows)):
            if other and any(cell is not None for row in other for cell in row):
                found.setdefault(_sorted(other), other)
    except _Dropped:
        pass  # A variant that does not run within the limit is no answer; those found so far are.
    return list(found.values())[1:]


def _sorted(rows: list[list[Any]]) -> tuple[str, ...]:
    return tuple(sorted(map(repr, rows)))


def _task(row: Row, key: TaskKey, licence: str, seed: int) -> Task:
    split: Split = "train" if row["split"] == "train" else "test"
    part: Slice = "train" if split == "train" else "official"
    view = TaskView(dataset="mimic_iii", family="sql", question=row["question"], description=DESCRIPTION,
                    data=(DataFile(name=DATABASE, path=DATABASE),), answer_kind=("answer", "program", "abstain"))
    patient = row["value"].get("patient_id", "") if isinstance(row["value"], dict) else ""
    kind = "unanswerable" if row["impossible"] else category(row["q_tag"], yes_no=bool(key.args.get("yes_no")))
    return make_task(view, key, seed=seed, category=kind, template=row["q_tag"], split=split, slice=part,
                     cluster=f"{row['q_tag']}/{patient or row['id'][:2]}", licence=licence, source=f"ehrsql-{row['split']}")
