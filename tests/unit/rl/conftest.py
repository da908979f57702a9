"""Hand-made traces and a player that needs neither model nor sandbox."""

import asyncio
import itertools
import random

import pytest

from env.task import Task, TaskKey, TaskView, make_task
from medcopilot.trace import GradeRecord, Tokens, Trace, Turn


def build_task(number: int = 0, template: str = "t") -> Task:
    view = TaskView(dataset="toy", family="calc", question=f"{template} {number}", answer_kind=("answer", "program"))
    return make_task(view, TaskKey(reference=number, grader="medcalc"), seed=0, category="c", template=template, split="train",
                     slice="train", cluster=f"{template}/{number}", licence="synthetic")


def build_trace(task: Task, score: float | None, *, ids=(5, 6, 7, 8, 9, 10), mask=(0, 0, 1, 1, 0, 1), logprobs=None, version=0,
                sample=0, stop="submit", problems=("", "")) -> Trace:
    ids, mask = list(ids), list(mask)
    logprobs = [-0.5 * m for m in mask] if logprobs is None else list(logprobs)
    record = GradeRecord(score=score, label="correct" if score == 1.0 else "wrong" if score is not None else "infrastructure")
    turns = [Turn(reply="x", problem=problem, generate_seconds=0.2, env_seconds=0.1) for problem in problems]
    return Trace(id=f"{task.id}-{sample}", task_id=task.id, dataset=task.dataset, category=task.category, template=task.template,
                 split=task.split, slice=task.slice, cluster=task.cluster, licence=task.licence, policy="toy", sample=sample,
                 messages=[], turns=turns, tokens=Tokens(ids=ids, mask=mask, logprobs=logprobs,
                                                         versions=[version if m else -1 for m in mask]),
                 stop="infrastructure" if score is None else stop, grades={"strict": record, "paper": record}, seconds=0.5,
                 grade_seconds=0.1, temperature=1.0)


class FakePlayer:
    """Plays an episode by asking `score(job)`; None is an infrastructure failure."""

    def __init__(self, score, concurrency=32, version=lambda job: 0) -> None:
        self.score, self.concurrency, self.version = score, concurrency, version
        self.jobs = []
        self.open = self.most_open = 0

    async def play(self, job):
        self.jobs.append(job)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        for _ in range(random.Random(job.sample).randrange(4)):
            await asyncio.sleep(0)
        self.open -= 1
        return build_trace(job.task, self.score(job), sample=job.sample, version=self.version(job))


@pytest.fixture
def task_of():
    return build_task


@pytest.fixture
def trace_of():
    return build_trace


@pytest.fixture
def player_of():
    return FakePlayer


@pytest.fixture
def tasks():
    return [build_task(number, template) for number, template in itertools.product(range(5), "abcd")]
