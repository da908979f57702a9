"""Grading boxes: from a submission to evidence to a grade."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from env.grading.room import BOTH, GradingRoom, judge, refusal
from env.grading.text import parse_text
from env.sandbox.base import Backend, Mount
from env.task import Submission, Task, TaskView
from rewards.types import Grade, Variant

__all__ = ["GradingRoom", "grade", "judge", "parse_text", "refusal"]


def grade(task: Task, submission: Submission | None, variants: Iterable[Variant] = BOTH, *, backend: Backend,
          mounts: Callable[[TaskView], tuple[Mount, ...]], trusted: bool = False) -> dict[Variant, Grade]:
    """Grade one submission; for many, keep a `GradingRoom`."""
    return GradingRoom(backend, mounts).grade(task, submission, variants, trusted=trusted)
