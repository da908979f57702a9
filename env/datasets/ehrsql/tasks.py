"""Tasks of a twin: parameters drawn from the database, gold SQL run, the second program checked, answers kept diverse.

Promises: every task's SQL and pandas programs agree under the strict grader, or the build stops; no answer (abstaining included)
makes up more than 5 % of a split; answers are never empty and have at most five rows; no question appears twice in a split;
templates marked `unseen` never appear in training.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np

from env.datasets.base import Disagreement
from env.datasets.ehrsql.answers import Quota, answer_key, on_edge, plain, tidy
from env.datasets.ehrsql.template import Params, Tables, Template, Unanswerable
from env.errors import UserError
from env.task import DataFile, Slice, Split, Task, TaskKey, TaskView, make_task
from rewards.ehr_answer import judge
from rewards.types import Evidence

UNANSWERABLE_SHARE = 0.035
UNSEEN_SHARE = 0.22
"""Share of the test split that uses held-out templates."""
MAX_ROWS = 5
_TRIES = 60
_BLOCKS = 8


class Asked(Protocol):
    """One database of a twin, ready to ask."""

    def query(self, sql: str) -> list[list[Any]]:
        """Rows of the gold SQL."""

    def run(self, body: str) -> dict[str, Any]:
        """Names that a second program leaves, `answer` among them."""

    def draw(self, template: Template, rng: np.random.Generator) -> Params | None:
        """Parameters from a random row; None where the row has no partner."""

    def draw_any(self, rng: np.random.Generator) -> Params:
        """Parameters for a question that cannot be answered: a patient `p` and whatever else its wordings name."""


@dataclass(frozen=True)
class Book:
    """The questions of one dataset."""

    dataset: str
    database: str
    """File name of the database in `/data`."""
    description: str
    prelude: str
    """First lines of every second program."""
    tables: Tables
    patient: tuple[str, str]
    """Table and column of the patient's number."""
    templates: tuple[Template, ...]
    unanswerable: tuple[Unanswerable, ...]


@dataclass
class _Maker:
    """Everything that making one task needs."""

    book: Book
    host: Asked
    rng: np.random.Generator
    quota: Quota
    split: Split
    seed: int


def make_tasks(book: Book, host: Asked, split: Split, count: int, seed: int) -> Iterator[Task]:
    """`count` tasks of a split over its database, in random order of templates.

    Raises:
        UserError: the database is too small for so many different questions.
        Disagreement: a template's two programs differ.
    """
    maker = _Maker(book, host, np.random.default_rng((seed, zlib.crc32(split.encode()))), Quota(count), split, seed)
    unseen = round(count * UNSEEN_SHARE) if split == "test" else 0
    parts: list[tuple[Slice, int]] = [("train", count)] if split == "train" else [("seen", count - unseen), ("unseen", unseen)]
    for part, size in parts:
        yield from _slice(maker, part, size, math.floor(size * UNANSWERABLE_SHARE))


def _slice(maker: _Maker, part: Slice, size: int, abstain: int) -> Iterator[Task]:
    live = [t for t in maker.book.templates if t.unseen == (part == "unseen")]
    every = size // abstain if abstain else size + 1
    made = asked = 0
    while made < size:
        if not live:
            raise UserError(f"{maker.book.dataset}: only {made} of {size} different {part} questions fit this database: "
                            "ask for fewer tasks or for more patients")
        # One round over all templates in random order, so that every template gets its share.
        for template in [live[position] for position in maker.rng.permutation(len(live)).tolist()]:
            if made % every == every - 1 and asked < abstain:
                yield _abstention(maker, part)
                made, asked = made + 1, asked + 1
            if made == size:
                return
            task = _try(maker, template, part)
            if task is None:
                live.remove(template)
                continue
            yield task
            made += 1


def _try(maker: _Maker, template: Template, part: Slice) -> Task | None:
    quota = maker.quota
    for _ in range(_TRIES):
        params = maker.host.draw(template, maker.rng)
        wording = int(maker.rng.integers(len(template.wordings)))
        if params is None:
            continue
        identity = json.dumps([template.name, *(params[name] for name in template.used())])
        if identity in quota.questions:
            continue
        rows = answer_rows(maker.host, template, params)
        if rows is None or not quota.admits(answer := answer_key(tidy(rows), template.args)):
            continue
        question = template.question(params, wording)
        if question in quota.questions or (key := solve(maker.book, maker.host, template, params, rows)) is None:
            continue
        quota.questions |= {identity, question}
        quota.answers[answer] += 1
        return make_task(_view(maker, question), key, seed=maker.seed, category=template.category, template=template.name,
                         split=maker.split, slice=part, cluster=cluster_of(template.name, template.used(), params),
                         licence="synthetic")
    return None


def answer_rows(host: Asked, template: Template, params: Params) -> list[list[Any]] | None:
    """What the gold SQL gives, or None where that is no good answer (empty, zero, too long)."""
    rows = host.query(template.gold(params))
    if not rows or len(rows) > MAX_ROWS or any(cell is None for row in rows for cell in row):
        return None
    return None if not template.args.get("yes_no") and rows == [[0]] else rows


def solve(book: Book, host: Asked, template: Template, params: Params, rows: list[list[Any]]) -> TaskKey | None:
    """The key of a question whose SQL gave `rows`, or None where there is none (tied, on a rounding edge).

    Raises:
        Disagreement: the SQL and the pandas program differ.
    """
    sql, body = template.gold(params), template.body(params)
    try:
        names = host.run(body)
        if template.guard and not eval(template.guard, names):
            return None
        answer = names["answer"]
    except Exception as error:
        raise Disagreement(f"template {template.name!r}: the second program raised {error!r}\n{sql}\n{body}") from error
    args = dict(template.args)
    if "decimals" in args and on_edge(float(answer), args["decimals"]):
        return None
    reference = tidy(rows)
    grade = judge(Evidence(kind="answer", has_value=True, value=answer), SimpleNamespace(reference=reference, args=args))
    if not grade.success:
        raise Disagreement(f"template {template.name!r}: SQL gives {rows}, pandas {answer!r}\n{sql}\n{body}")
    extra: list[Any] = []
    if "p" in template.used() and not template.extra:
        extra.append(params["p"])
    if template.extra:
        mapping = eval(template.extra, names)
        extra.append([plain(mapping[row[0]]) for row in rows])
    if extra:
        args["extra_keys"] = extra
    return TaskKey(reference=reference, grader="ehr_answer", args=args, gold=sql, gold_language="sql",
                   gold_alt=book.prelude + body, hints=template.hints(params, book.tables))


def _abstention(maker: _Maker, part: Slice) -> Task:
    kinds = [u for u in maker.book.unanswerable if u.unseen == (part == "unseen")]
    while True:
        kind = kinds[int(maker.rng.integers(len(kinds)))]
        params = maker.host.draw_any(maker.rng)
        question = kind.wordings[int(maker.rng.integers(len(kind.wordings)))].format(**params)
        if question not in maker.quota.questions:
            break
    maker.quota.questions.add(question)
    maker.quota.answers["abstain"] += 1
    table, column = maker.book.patient
    hints = {"tables": [table], "columns": {table: [column]}, "values": [[table, column, params["p"]]]}
    key = TaskKey(reference=None, grader="ehr_answer", args={"impossible": True}, gold="", gold_language="sql", hints=hints)
    name = f"unanswerable_{kind.name}"
    return make_task(_view(maker, question), key, seed=maker.seed, category="unanswerable", template=name, split=maker.split,
                     slice=part, cluster=cluster_of(name, ["p"], params), licence="synthetic")


def _view(maker: _Maker, question: str) -> TaskView:
    return TaskView(dataset=maker.book.dataset, family="sql", question=question, description=maker.book.description,
                    data=(DataFile(name=maker.book.database, path=f"{maker.split}.sqlite"),),
                    answer_kind=("answer", "program", "abstain"))


def cluster_of(template: str, used: Sequence[str], params: Params) -> str:
    """Template x block of patients (or of the other parameters, where no patient is asked about)."""
    about = ["p"] if "p" in used else used
    return f"{template}/{zlib.crc32(json.dumps([params[name] for name in about]).encode()) % _BLOCKS}"
