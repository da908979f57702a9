"""EHR-SeqSQL's own file as tasks: every turn of every conversation, asked with the turns before it.

Promises: reads `data.json` (also `.gz`; fields `id`, `question` and `sql` or `seqsql`, both lists, and a split) beside a
MIMIC-III database in EHRSQL's schema. Marks (`[prev_query]`, `[prev_result]`) are replaced by the query they stand for; EHRSQL's
post-processing is applied; references come from running the query. A turn that does not run is dropped; counts and reasons are
in `dropped.json`.
Does not cover: the database (EHRSQL's own, or the builder of `mimic_iii`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from env.datasets.base import BuildRequest, Progress
from env.datasets.ehr_seqsql.block import conversation
from env.datasets.ehrsql.gold import is_yes_no, post_process
from env.datasets.mimic_iii.adapt import DATABASE, open_source
from env.datasets.mimic_iii.catalogue import DESCRIPTION
from env.datasets.mimic_iii.template import sql_hints
from env.datasets.sql_source import Database, Dropped, alternatives, find_file, read_text
from env.errors import UserError
from env.files import atomic_write
from env.task import DataFile, Slice, Split, Task, TaskKey, TaskView, make_task

QUESTIONS = "data.json"
_MARK = re.compile(r"\[?\bprev_(query|result)\b\]?")
Row = dict[str, Any]


@dataclass(frozen=True)
class _Turn:
    """One turn of a conversation, ready to run."""

    questions: tuple[str, ...]
    """Those of all turns up to this one."""
    sql: tuple[str, ...]
    """Ways to write the query without marks; the first that runs is gold."""
    marks: str


def adapt_source(request: BuildRequest, folder: Path, progress: Progress) -> Iterator[Task]:
    """Tasks of the real source. Options: `split=random|compositional` (the source has both), `turns=all|last`.

    Raises:
        UserError: no questions, no database, an unreadable file, or a row without a field it needs.
    """
    assert request.source is not None
    split_field = _choice(request, "split", "random", "compositional") + "_split"
    only_last = _choice(request, "turns", "all", "last") == "last"
    rows = list(_rows(request.source, split_field))
    licence = open_source("ehr_seqsql", request, folder, progress, frozenset({"split", "turns"}))
    dropped: list[dict[str, str]] = []
    counts: Counter[str] = Counter(conversations=len(rows))
    with Database(folder / DATABASE, "build it again") as connection:
        for done, row in enumerate(rows, start=1):
            progress("ehr_seqsql conversations", done, len(rows))
            turns = list(_turns(row))
            for number, turn in enumerate(turns, start=1):
                if only_last and number < len(turns):
                    continue
                counts["turns"] += 1
                counts["turns with marks replaced"] += bool(turn.marks)
                try:
                    yield _task(row, number, turn, split_field, licence, request.seed, connection)
                except Dropped as error:
                    dropped.append({"id": f"{row['id']}/{number}", "query": turn.sql[0], "reason": str(error)})
    report = {**counts, "tasks": counts["turns"] - len(dropped), "dropped": dropped}
    atomic_write(folder / "dropped.json", json.dumps(report, indent=1, ensure_ascii=False))


def _choice(request: BuildRequest, name: str, *choices: str) -> str:
    chosen = request.options.get(name, choices[0])
    if chosen not in choices:
        raise UserError(f"ehr_seqsql: option {name}={chosen} is unknown: choose {' or '.join(choices)}")
    return chosen


def _rows(source: Path, split_field: str) -> Iterator[Row]:
    if not source.is_dir():
        raise UserError(f"ehr_seqsql: source {source} is not a folder: give the folder with EHR-SeqSQL's {QUESTIONS} and the "
                        f"database")
    path = find_file(source, (QUESTIONS,))
    if path is None:
        raise UserError(f"ehr_seqsql: no questions in {source}: put EHR-SeqSQL's {QUESTIONS} there "
                        "(github.com/seonhee99/EHR-SeqSQL)")
    try:
        rows = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): fetch it again") from None
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path} must hold a list of conversations: fetch it again")
    for number, row in enumerate(rows, start=1):
        yield _checked(row, f"{path} row {number}", split_field)


def _checked(row: Any, where: str, split_field: str) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{where}: is not a record: fetch the file again")
    queries: Any = row.get("sql") or row.get("seqsql")
    for name, value in (("question", row.get("question")), ("sql", queries)):
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise UserError(f"{where}: field {name} must be a list of texts: fetch the file again")
    if len(row["question"]) != len(queries):
        raise UserError(f"{where}: field sql has {len(queries)} queries for {len(row['question'])} questions: fetch the file again")
    if row.get(split_field) not in ("train", "test"):
        raise UserError(f"{where}: field {split_field} is {row.get(split_field)!r}: it must be train or test")
    return {**row, "id": str(row.get("id", where)), "queries": queries}


def _turns(row: Row) -> Iterator[_Turn]:
    """The turns of a conversation; each query is written out in terms of the one before."""
    before = ""
    for number, query in enumerate(row["queries"], start=1):
        marks = "".join(sorted(set(_MARK.findall(query))))
        written = tuple(dict.fromkeys(post_process(_replace(query, before, bare)) for bare in (True, False)))
        yield _Turn(tuple(row["question"][:number]), written, marks)
        before = _replace(query, before, True)


def _replace(query: str, before: str, bare: bool) -> str:
    """`bare`: a query goes in as it stands, since most are already inside parentheses."""
    def stands_for(found: re.Match[str]) -> str:
        return before if bare and found.group(1) == "query" else f"({before})"

    return _MARK.sub(stands_for, query)


def _task(row: Row, number: int, turn: _Turn, split_field: str, licence: str, seed: int, connection: Database) -> Task:
    sql, rows = _run(turn.sql, connection)
    args: dict[str, Any] = {}
    if is_yes_no(sql, turn.questions[-1]):
        args["yes_no"] = True
    if others := alternatives(sql, rows, connection):
        args["alternatives"] = others
    hints = {**sql_hints(sql), "values": [], "source_id": f"{row['id']}/{number}"}
    key = TaskKey(reference=rows, grader="ehr_answer", args=args, gold=sql, gold_language="sql", hints=hints)
    split: Split = row[split_field]
    part: Slice = "train" if split == "train" else "official"
    view = TaskView(dataset="ehr_seqsql", family="sql", question=conversation(turn.questions), description=DESCRIPTION,
                    data=(DataFile(name=DATABASE, path=DATABASE),), answer_kind=("answer", "program", "abstain"))
    templates = row.get("question_template")
    known = isinstance(templates, list) and len(templates) == len(row["question"])
    template = ">".join(map(str, templates[:number])) if known and templates else f"conversation {row['id']}"
    return make_task(view, key, seed=seed, category=category(sql, turn.questions[-1]), template=template, split=split, slice=part,
                     cluster=f"{template}/{row['id']}", licence=licence, source=f"ehr-seqsql-{split_field.partition('_')[0]}")


def _run(candidates: tuple[str, ...], connection: Database) -> tuple[str, list[list[Any]]]:
    reason = Dropped("no query")
    for sql in candidates:
        try:
            return sql, connection.rows(sql)
        except Dropped as error:
            reason = error
    raise reason


def category(sql: str, question: str) -> str:
    """One of the twin's four categories, by the outermost query."""
    head = " ".join(sql.lower().split())
    if re.match(r"select (\(|.*(select.* [<>=-] *\(select|count\([^)]*\) *>))", head) or " compared " in question.lower():
        return "compare"
    if re.search(r"order by [^()]*( limit \d+)?$|dense_rank", head):
        return "rank"
    return "aggregate" if re.match(r"select (distinct )?(count|sum|avg|min|max|round|100|strftime|julianday)\b", head) else "filter"
