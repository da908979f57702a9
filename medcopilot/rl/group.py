"""All rollouts of one task: what the trainers learn from, the logs count and the samples show.

Promises: data only.
Does not cover: how a group is played and judged (`medcopilot.rl.stream`).
"""

from __future__ import annotations

from dataclasses import dataclass

from env.task import Task
from medcopilot.trace import Trace


@dataclass(frozen=True)
class Group:
    """All rollouts of one task, with what they were worth."""

    task: Task
    traces: list[Trace]
    rewards: list[float | None]
    """None: infrastructure failure, or ungraded."""
    advantages: list[float]
    terms: list[dict[str, float]]
    verdict: str
    """`kept`, `zero_variance`, `ungraded` (too few graded), or `versions` (more than one policy version)."""
