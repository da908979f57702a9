"""Tasks of the twin: conditions drawn from real admissions, SQL run, the second program checked, answers kept diverse.

Promises: every task's SQL and pandas programs agree under the strict grader, or the build stops; no answer makes up more than 5 %
of a split; answers are never empty or zero and have at most four rows; no question appears twice in a split; templates of the slice
`unseen` never appear in training.
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from env.datasets.base import Disagreement, Progress
from env.datasets.ehrsql.answers import on_edge
from env.datasets.treqs.database import COLUMNS, Frames
from env.datasets.treqs.questions import (
    CODES,
    DATABASE,
    DEMOGRAPHIC,
    EVENTS,
    PRELUDE,
    SHOWN,
    Condition,
    Kind,
    Question,
    code,
    count,
    extreme,
    lookup,
)
from env.errors import UserError
from env.task import DataFile, Slice, Split, Task, TaskKey, TaskView, make_task
from rewards.ehr_answer import judge
from rewards.types import Evidence

DESCRIPTION = (f"SQLite database {DATABASE}: hospital admissions (MIMICSQL, 5 tables that share HADM_ID). All conditions of a "
               "question hold within one admission. Answer with a value or rows; list each different row once.")
ANSWER_CAP = 0.045
"""Largest share of one answer in a split; the promise is 0.05."""
UNSEEN_SHARE = 0.22
_UNSEEN_EVERY = 6
"""One template of so many is held out."""
MAX_ROWS = 4
PATIENCE = 3000
"""Questions in a row that do not fit before the database counts as too small."""
_BLOCKS = 8
_DULL = {"MARITAL_STATUS", "GENDER", "LANGUAGE", "EXPIRE_FLAG"}
"""Columns with so few values that they are asked for only beside another one."""


def held_out(template: str) -> bool:
    """Whether a template is kept for the slice `unseen`."""
    return zlib.crc32(template.encode()) % _UNSEEN_EVERY == 0


class Maker:
    """Makes the tasks of one split over its database."""

    def __init__(self, frames: Frames, path: Path, split: Split, total: int, seed: int) -> None:
        self._frames, self._split, self._seed = frames, split, seed
        self._rng = np.random.default_rng((seed, zlib.crc32(split.encode()), 5))
        self._sqlite = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self._cap = max(1, math.floor(ANSWER_CAP * total))
        self._answers: Counter[str] = Counter()
        self._asked: set[str] = set()
        self._rows = {name: frame.groupby("HADM_ID").indices for name, frame in frames.items() if name != "DEMOGRAPHIC"}
        self._prelude: dict[str, Any] = {"t": frames.__getitem__, "pd": pd}

    def close(self) -> None:
        self._sqlite.close()

    def tasks(self, part: Slice, size: int, progress: Progress) -> Iterator[Task]:
        """`size` tasks of a slice.

        Raises:
            UserError: the database is too small for so many different questions.
            Disagreement: two programs of a question differ.
        """
        made = failures = 0
        while made < size:
            task = self._try(part)
            failures = 0 if task else failures + 1
            if failures > PATIENCE:
                raise UserError(f"treqs: only {made} of {size} different {part} questions fit this database: "
                                "ask for fewer tasks or for more patients")
            if task is not None:
                yield task
                made += 1
                progress(f"treqs {self._split} tasks ({part})", made, size)

    def _pick(self, n: int) -> int:
        return int(self._rng.integers(n))

    def _try(self, part: Slice) -> Task | None:
        question = self._question()
        if question is None or held_out(question.template) != (part == "unseen") or question.identity in self._asked:
            return None
        key = self._key(question)
        if key is None:
            return None
        answer = json.dumps(sorted(key.reference, key=str))
        if self._answers[answer] >= self._cap:
            return None
        self._answers[answer] += 1
        self._asked.add(question.identity)
        view = TaskView(dataset="treqs", family="sql", question=question.text, description=DESCRIPTION,
                        data=(DataFile(name=DATABASE, path=f"{self._split}.sqlite"),), answer_kind=("answer", "program"))
        block = zlib.crc32(json.dumps([str(value) for *_, value in question.values]).encode()) % _BLOCKS
        return make_task(view, key, seed=self._seed, category=question.category, template=question.template, split=self._split,
                         slice=part, cluster=f"{question.template}/{block}", licence="synthetic")

    def _question(self) -> Question | None:
        """Something to ask about a random admission; None when it has nothing of the kind that was drawn."""
        people = self._frames["DEMOGRAPHIC"]
        row = people.iloc[self._pick(len(people))]
        chance = self._rng.random()
        if chance < 0.78:
            conditions = self._conditions(row, DEMOGRAPHIC, EVENTS)
            return count(conditions, self._pick) if conditions else None
        if chance < 0.88:
            how = ("max", "min", "mean")[self._pick(3)]
            measure = ("AGE", "DAYS_STAY")[self._pick(2)]
            plain = tuple(kind for kind in DEMOGRAPHIC if kind.column != measure)
            conditions = self._conditions(row, plain, () if how == "mean" else EVENTS)
            return extreme(how, measure, conditions, self._pick) if conditions else None
        if chance < 0.985:
            shown = list(SHOWN)
            columns = sorted({shown[self._pick(len(shown))] for _ in range(1 + (self._rng.random() < 0.7))})
            if set(columns) <= _DULL:
                return None
            by = ("NAME", "SUBJECT_ID")[self._pick(2)]
            return lookup(columns, by, row[by], self._pick)
        entry = CODES[self._pick(len(CODES))]
        table = self._frames[entry[0]]
        value = table.iloc[self._pick(len(table))][entry[1]]
        # both databases have the same codes: each is asked about in one split
        return code(entry, value, self._pick) if (zlib.crc32(value.encode()) % 4 == 0) == (self._split == "test") else None

    def _conditions(self, row: Any, plain: tuple[Kind, ...], events: tuple[Kind, ...]) -> list[Condition]:
        """One or two conditions that this admission meets."""
        number = 1 if self._rng.random() < 0.15 else 2
        kinds: list[Kind] = []
        for _ in range(number):
            pool = events if events and self._rng.random() < (0.6 if not kinds else 0.45) else plain
            kind = pool[self._pick(len(pool))]
            if all(kind.column != other.column and (kind.table == "DEMOGRAPHIC" or kind.table != other.table) for other in kinds):
                kinds.append(kind)
        found = [self._condition(row, kind) for kind in kinds]
        return [] if None in found else [condition for condition in found if condition is not None]

    def _condition(self, row: Any, kind: Kind) -> Condition | None:
        if kind.table == "DEMOGRAPHIC":
            value = row[kind.column]
        else:
            places = self._rows[kind.table].get(row["HADM_ID"])
            if places is None:
                return None
            value = self._frames[kind.table].iloc[int(places[self._pick(len(places))])][kind.column]
        if pd.isna(value):
            return None
        if kind.shift is not None:
            low, high = kind.shift
            return Condition(kind, max(0, int(value) + low + self._pick(high - low + 1)))
        return Condition(kind, str(value))

    def _key(self, question: Question) -> TaskKey | None:
        """The key, or None where the answer is no good one (empty, zero, too long, on a rounding edge).

        Raises:
            Disagreement: the SQL and the pandas program differ.
        """
        rows = [list(row) for row in self._sqlite.execute(question.sql).fetchmany(MAX_ROWS + 1)]
        if not rows or len(rows) > MAX_ROWS or rows == [[0]] or any(cell is None for row in rows for cell in row):
            return None
        if question.category == "code" and str(rows[0][0]).casefold() == str(question.values[0][2]).casefold():
            return None  # some long titles are the short ones
        names = dict(self._prelude)
        exec(question.body, names)
        args = dict(question.args)
        if "decimals" in args:
            mean = float(eval(f"x.{question.template.split('/')[1]}.mean()", names))
            if on_edge(mean, 2):
                return None
        evidence = Evidence(kind="answer", has_value=True, value=_json(names["answer"]))
        if not judge(evidence, SimpleNamespace(reference=rows, args=args)).success:
            raise Disagreement(f"{question.template}: SQL gives {rows}, pandas {names['answer']!r}\n{question.sql}\n"
                               f"{question.body}")
        tables = [table for table in COLUMNS if table in question.sql]
        hints = {"tables": tables, "values": [list(value) for value in question.values],
                 "columns": {table: [column for column in COLUMNS[table] if f'"{column}"' in question.sql] for table in tables}}
        return TaskKey(reference=rows, grader="ehr_answer", args=args, gold=question.sql, gold_language="sql",
                       gold_alt=PRELUDE + question.body, hints=hints)


def _json(value: Any) -> Any:
    """Numbers of numpy as plain ones."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    return value.item() if hasattr(value, "item") else value
