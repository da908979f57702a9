"""What a trainer gets: rounds of rollouts, as plain rows.

Promises: a row holds a rollout's own ids, mask and logprobs; rollouts without a reward are left out; what follows a row's last
sampled token is cut off, since it influences nothing.
Does not cover: tensors (`batch`), where rounds come from (`source`, `dumps`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from medcopilot.rl.group import Group


class Row(NamedTuple):
    """One rollout; lists have one entry per token."""

    ids: list[int]
    mask: list[int]
    """1: sampled by the policy."""
    logprobs: list[float]
    """The engine's, under the sampling distribution; 0 where the mask is 0."""
    advantage: float
    """Relative to the group."""
    reward: float = 0.0
    group: int = 0
    """Number of the rollout's group within its round and rank."""
    task: str = ""
    version: int = 0
    """Policy version that sampled it."""


@dataclass
class Round:
    """The rollouts of one round on one rank."""

    rows: list[Row]
    wanted: int
    """Rollouts that the round aimed at, over all ranks; there may be fewer or more."""
    metrics: dict[str, float] = field(default_factory=dict)
    played: Sequence[Group] = ()
    """All groups, kept or not, as they were played; none in a replay."""


class Source(Protocol):
    """Where rounds come from."""

    episodes: int
    """Played by this rank for the rounds so far, earlier starts of the run included."""

    def next(self, step: int) -> Round:
        """The next round, for a trainer that has made `step` optimiser steps."""

    def state(self) -> dict[str, Any]:
        """Plain data for `restore`."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""

    def tags(self) -> Counter[tuple[str, str]]:
        """(dataset, licence) of the tasks that rounds are drawn from, counted."""

    def details(self) -> dict[str, Any]:
        """What the finished checkpoint's record says of the rollouts."""


def rows_of(groups: Iterable[Group]) -> list[Row]:
    """Rollouts with a reward."""
    rows = []
    for number, group in enumerate(groups):
        for trace, reward, advantage in zip(group.traces, group.rewards, group.advantages, strict=True):
            if reward is None or trace.tokens is None:
                continue
            tokens = trace.tokens
            end = len(tokens.mask) - tokens.mask[::-1].index(1)
            rows.append(Row(tokens.ids[:end], tokens.mask[:end], tokens.logprobs[:end], advantage, reward, number, trace.task_id,
                            tokens.versions[end - 1]))
    return rows


def blank(row: Row) -> Row:
    """The same tokens without loss: stands where a rank or a micro-batch has no row."""
    return row._replace(mask=[0] * len(row.ids), advantage=0.0, reward=0.0)
