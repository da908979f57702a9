"""Tasks of the twin: parameters drawn from the database, gold SQL run, the second program checked, answers kept diverse.

Promises: every task's SQL and pandas programs agree under the strict grader, or the build stops; no answer (abstaining
included) makes up more than 5 % of a split; answers are never empty and have at most four rows; no question appears twice in a
split; templates marked `unseen` never appear in training.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from env.datasets.base import Disagreement
from env.datasets.ehrsql.answers import Quota, answer_key, on_edge, plain, tidy
from env.datasets.mimic_iii.catalogue import FULL, Catalogue
from env.datasets.mimic_iii.host import Host
from env.datasets.mimic_iii.template import PRELUDE, Params, Template
from env.errors import UserError
from env.task import DataFile, Slice, Split, Task, TaskKey, TaskView, make_task
from rewards.ehr_answer import judge
from rewards.types import Evidence

UNANSWERABLE_SHARE = 0.035
UNSEEN_SHARE = 0.22
"""Share of the test split that uses held-out templates."""
MAX_ROWS = 4
_TRIES = 60
_BLOCKS = 8


@dataclass
class _Maker:
    """What all tasks of a split are made with."""

    host: Host
    rng: np.random.Generator
    quota: Quota
    split: Split
    seed: int
    catalogue: Catalogue


def make_tasks(host: Host, split: Split, count: int, seed: int, catalogue: Catalogue = FULL) -> Iterator[Task]:
    """`count` tasks of a split over its database, in random order of templates.

    Raises:
        UserError: the database is too small for so many different questions.
        Disagreement: a template's two programs differ.
    """
    maker = _Maker(host, np.random.default_rng((seed, zlib.crc32(split.encode()))), Quota(count), split, seed, catalogue)
    unseen = round(count * UNSEEN_SHARE) if split == "test" else 0
    parts: list[tuple[Slice, int]] = [("train", count)] if split == "train" else [("seen", count - unseen), ("unseen", unseen)]
    for part, size in parts:
        yield from _slice(maker, part, size, math.floor(size * UNANSWERABLE_SHARE) if catalogue.unanswerable else 0)


def _slice(maker: _Maker, part: Slice, size: int, abstain: int) -> Iterator[Task]:
    held_out = part == "unseen"
    live = [t for t in maker.catalogue.templates if t.unseen == held_out]
    every = size // abstain if abstain else size + 1
    made = asked = 0
    while made < size:
        if not live:
            raise UserError(f"{maker.catalogue.dataset}: only {made} of {size} different {part} questions fit this database: "
                            "ask for fewer tasks or for more patients")
        if made % every == every - 1 and asked < abstain:
            yield _abstention(maker, part, held_out)
            made, asked = made + 1, asked + 1
            continue
        # One round over all templates in random order, so that every template gets its share.
        for position in maker.rng.permutation(len(live)).tolist():
            template = live[position]
            task = _try(maker, template, part)
            if task is None:
                live = [t for t in live if t is not template]
                break
            yield task
            made += 1
            if made == size or (made % every == every - 1 and asked < abstain):
                break


def _try(maker: _Maker, template: Template, part: Slice) -> Task | None:
    quota = maker.quota
    for _ in range(_TRIES):
        params = maker.host.draw(template, maker.rng)
        wording = int(maker.rng.integers(len(template.wordings)))
        identity = json.dumps([template.name, *(params[name] for name in template.used())])
        if identity in quota.questions:
            continue
        key = solve(maker.host, template, params)
        if key is None or not quota.admits(answer := answer_key(key.reference, key.args)):
            continue
        quota.questions.add(identity)
        quota.answers[answer] += 1
        view = _view(template.question(params, wording), maker)
        return make_task(view, key, seed=maker.seed, category=template.category, template=template.name, split=maker.split,
                         slice=part, cluster=cluster_of(template.name, template.used(), params), licence="synthetic")
    return None


def solve(host: Host, template: Template, params: Params) -> TaskKey | None:
    """The key of a question, or None where it has no good answer (empty, zero, tied, too long, on a rounding edge).

    Raises:
        Disagreement: the SQL and the pandas program differ.
    """
    sql, body = template.gold(params), template.body(params)
    rows = host.query(sql)
    if not rows or len(rows) > MAX_ROWS or any(cell is None for row in rows for cell in row):
        return None
    if not template.args.get("yes_no") and rows == [[0]]:
        return None
    names = host.run(body)
    if template.guard and not eval(template.guard.format(**params), names):
        return None
    args = dict(template.args)
    if "decimals" in args and on_edge(float(names["answer"]), args["decimals"]):
        return None
    reference = tidy(rows)
    grade = judge(Evidence(kind="answer", has_value=True, value=names["answer"]), SimpleNamespace(reference=reference, args=args))
    if not grade.success:
        raise Disagreement(f"template {template.name!r}: SQL gives {rows}, pandas {names['answer']!r}\n{sql}\n{body}")
    # Where the answer is itself a patient, a patient's number beside it would be a second guess.
    extra: list[Any] = [params["p"]] if "p" in template.used() and "p2" not in template.used() else []
    if template.extra:
        mapping = eval(template.extra, names)
        extra.append([plain(mapping[row[0]]) for row in rows])
    if extra:
        args["extra_keys"] = extra
    return TaskKey(reference=reference, grader="ehr_answer", args=args, gold=sql, gold_language="sql",
                   gold_alt=PRELUDE + body, hints=template.hints(params))


def _abstention(maker: _Maker, part: Slice, held_out: bool) -> Task:
    kinds = [u for u in maker.catalogue.unanswerable if u.unseen == held_out]
    while True:
        kind = kinds[int(maker.rng.integers(len(kinds)))]
        pool = maker.host.pool("prescriptions")
        row = pool.iloc[int(maker.rng.integers(len(pool)))]
        params = {"p": int(row["subject_id"]), "drug": row["drug"]}
        question = kind.wordings[int(maker.rng.integers(len(kind.wordings)))].format(**params)
        if question not in maker.quota.questions:
            break
    maker.quota.questions.add(question)
    maker.quota.answers["abstain"] += 1
    hints = {"tables": ["patients"], "columns": {"patients": ["subject_id"]}, "values": [["patients", "subject_id", params["p"]]]}
    key = TaskKey(reference=None, grader="ehr_answer", args={"impossible": True}, gold="", gold_language="sql", hints=hints)
    name = f"unanswerable_{kind.name}"
    return make_task(_view(question, maker), key, seed=maker.seed, category="unanswerable", template=name, split=maker.split,
                     slice=part, cluster=cluster_of(name, ["p"], params), licence="synthetic")


def _view(question: str, maker: _Maker) -> TaskView:
    return TaskView(dataset=maker.catalogue.dataset, family="sql", question=question, description=maker.catalogue.description,
                    data=(DataFile(name="mimic_iii.sqlite", path=f"{maker.split}.sqlite"),),
                    answer_kind=("answer", "program", "abstain"))


def cluster_of(template: str, used: Sequence[str], params: Params) -> str:
    """Template x block of patients (or of the other parameters, where no patient is asked about)."""
    if "p" in used:
        return f"{template}/{params['p'] // 2 % _BLOCKS}"
    return f"{template}/{zlib.crc32(json.dumps([params[name] for name in used]).encode()) % _BLOCKS}"
