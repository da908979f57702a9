"""Judge many tasks against many attacks and variants: pure work, spread over processes when there is much of it.

Promises: `judge` gives the same tallies whatever the number of processes; rates of attacks are over answerable tasks (where
abstaining is wrong), and successes over all tasks are counted beside them.
Does not cover: where evidence comes from (`evidence`) and what counts as a breach (`battery`).
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from env.grading import judge as judge_one
from env.grading import refusal
from env.grading.room import BOTH
from env.task import Task
from medcopilot.validation import programs
from medcopilot.validation.attacks import Attack, attacks
from medcopilot.validation.controls import WEAK
from medcopilot.validation.variants import answer_variants
from rewards.registry import get_grader
from rewards.types import Evidence, Grade, Variant

CHUNK = 250
INFRASTRUCTURE = "infra"
"""Status of evidence that our own machinery failed to collect."""
DataKey = tuple[str, ...]
"""The files that a task's box sees: tasks with the same key share the evidence of an attack."""
EvidenceTable = Mapping[tuple[str, DataKey], Evidence]


def data_key(task: Task) -> DataKey:
    """What an attack's evidence depends on: the files; and the task itself where a grader looks at more than one run."""
    files = tuple(file.path for file in task.view.data)
    return (*files, f"task {task.id}") if looks_closer(task) else files


def looks_closer(task: Task) -> bool:
    """Whether evidence of a program belongs to one task alone: hidden inputs, or what an environment has recorded."""
    plans = [get_grader(task.key.grader, variant).plan(task.key) for variant in BOTH]
    return "state" in task.view.answer_kind or any(plan.inputs or plan.checks for plan in plans)


@dataclass
class Score:
    """How often something succeeded."""

    tasks: int = 0
    strict: int = 0
    paper: int = 0
    control: int = 0
    unsupported: int = 0
    infrastructure: int = 0
    everywhere: int = 0
    """Strict successes over all tasks, impossible ones included."""
    example: str = ""
    """A task on which it went against expectation: an attack that succeeded, a variant that did not."""

    def add(self, other: Score) -> None:
        for name in ("tasks", "strict", "paper", "control", "unsupported", "infrastructure", "everywhere"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.example = self.example or other.example


@dataclass
class Tally:
    """Scores of attacks, of the reference submitted as an answer, and of its variants."""

    attacks: dict[str, Score] = field(default_factory=dict)
    gold: Score = field(default_factory=Score)
    variants: dict[str, Score] = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        self.gold.add(other.gold)
        for mine, theirs in ((self.attacks, other.attacks), (self.variants, other.variants)):
            for name, score in theirs.items():
                mine.setdefault(name, Score()).add(score)


def answer_evidence(value: Any) -> Evidence:
    """What a submitted answer looks like to a grader; the room's own conversion is spot-checked against it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Evidence(kind="answer", has_value=True, value=value, text=text)


def nothing_done(answer: Any) -> Evidence:
    """What an environment recorded of an agent that did nothing and says an answer (None: says nothing)."""
    return replace(answer_evidence(answer), kind="state", state=[], has_value=answer is not None)


@cache
def _fixed_evidence(name: str) -> Evidence:
    """Evidence of an attack that is an answer: the same object for every task."""
    return answer_evidence(next(attack for attack in attacks() if attack.name == name).submission.answer)


def attack_evidence(attack: Attack, task: Task, table: EvidenceTable, key: DataKey | None = None) -> Evidence:
    """Evidence of an attack on one task, from the shared run of its program where there is one; `key`: the task's `data_key`."""
    if attack.submission.kind == "abstain":
        return Evidence(kind="abstain")
    if attack.submission.kind == "state":
        return nothing_done(attack.submission.answer)
    if attack.submission.kind == "answer":
        return _fixed_evidence(attack.name)
    shared = table[attack.name, data_key(task) if key is None else key]
    if attack.fill is None or programs.QUESTION_MARK not in shared.text:
        return shared
    value = attack.fill(shared.value, task) if isinstance(shared.value, str) else shared.value
    return replace(shared, text=attack.fill(shared.text, task), value=value)


@cache
def _refused(name: str) -> Grade | None:
    return refusal(next(attack for attack in attacks() if attack.name == name).submission)


def attack_grade(attack: Attack, evidence: Evidence, task: Task, variant: Variant) -> Grade:
    """As the grading room grades it."""
    if evidence.status == INFRASTRUCTURE:
        return Grade(None, "infrastructure", detail=evidence.text)
    return _refused(attack.name) or judge_one(task, variant, evidence)


def judge_some(tasks: Sequence[Task], table: EvidenceTable) -> Tally:
    """All attacks, the reference and its variants on some tasks, in this process."""
    tally = Tally()
    listed = attacks()
    for task in tasks:
        impossible, key = bool(task.key.args.get("impossible")), data_key(task)
        for attack in listed:
            if attack.applies(task):
                score = tally.attacks.setdefault(attack.name, Score())
                _judge_attack(attack, task, attack_evidence(attack, task, table, key), impossible, score)
        if impossible:
            _judge_correct(Evidence(kind="abstain"), task, tally.gold)
        if impossible or "answer" not in task.view.answer_kind:
            continue
        _judge_correct(answer_evidence(task.key.reference), task, tally.gold)
        for name, value in answer_variants(task):
            _judge_correct(answer_evidence(value), task, tally.variants.setdefault(name, Score()))
    return tally


def _judge_attack(attack: Attack, task: Task, evidence: Evidence, impossible: bool, score: Score) -> None:
    strict, paper = (attack_grade(attack, evidence, task, variant) for variant in BOTH)
    score.everywhere += strict.success
    if impossible:
        return
    score.tasks += 1
    score.strict += strict.success
    score.paper += paper.success
    score.unsupported += strict.label == "unsupported"
    score.infrastructure += not strict.graded and strict.label != "unsupported"
    score.control += attack.control in WEAK and WEAK[attack.control](evidence, task)
    if strict.success and not score.example:
        score.example = f"{task.id}: reference {task.key.reference!r}"[:200]


def _judge_correct(evidence: Evidence, task: Task, score: Score) -> None:
    strict, paper = (judge_one(task, variant, evidence) for variant in BOTH)
    score.tasks += 1
    score.strict += strict.success
    score.paper += paper.success
    if not strict.success and not score.example:
        score.example = f"{task.id}: {evidence.value!r} for {task.key.reference!r}: {strict.label} {strict.detail}"[:300]


def judge(tasks: Sequence[Task], table: EvidenceTable, processes: int, progress: Callable[[int, int], None]) -> Tally:
    """The tally over all tasks; `progress(done, total)` in tasks."""
    total, done, tally = len(tasks), 0, Tally()
    chunks = [tasks[start:start + CHUNK] for start in range(0, total, CHUNK)]
    for size, part in _run(chunks, table, processes):
        tally.add(part)
        done += size
        progress(done, total)
    return tally


def _run(chunks: list[Sequence[Task]], table: EvidenceTable, processes: int) -> Iterator[tuple[int, Tally]]:
    if processes < 2 or len(chunks) < 4:  # starting processes costs more than it saves
        for chunk in chunks:
            yield len(chunk), judge_some(chunk, table)
        return
    context = multiprocessing.get_context("spawn")  # the caller has threads and open boxes: never fork it
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures = {pool.submit(judge_some, chunk, _needed(table, chunk)): len(chunk) for chunk in chunks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _needed(table: EvidenceTable, tasks: Sequence[Task]) -> EvidenceTable:
    """The part of the table that these tasks use: less to send to another process."""
    keys = {data_key(task) for task in tasks}
    return {name: evidence for name, evidence in table.items() if name[1] in keys}
