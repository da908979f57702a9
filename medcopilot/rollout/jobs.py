"""One episode to be played: which task, which sample, which seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from env.task import ActionName, Task


@dataclass(frozen=True)
class Job:
    """What identifies a rollout. The same job gives the same trace, as far as floating point allows."""

    task: Task
    sample: int = 0
    """Index among the rollouts of this task."""
    seed: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    profile: str = "full"
    grade: bool = True
    loop_guard: bool = False
    """Tell an agent that repeats itself once, then end the episode (`medcopilot.agent.loop_guard`)."""
    without: tuple[ActionName, ...] = ()
    """Actions that are taken away (an ablation); never `submit`."""
    turns: int | None = None
    """At most so many turns (an ablation); None: the profile's limit."""

    def trace_id(self, policy: str, protocol: str) -> str:
        """Content hash, 16 hex digits: what resuming goes by."""
        body = f"{self.task.id}/{self.sample}/{self.seed}/{self.temperature}/{self.top_p}/{self.profile}/{policy}/{protocol}"
        body += "/loop_guard" if self.loop_guard else ""  # without it, ids are those of records that do not know it
        body += f"/without {' '.join(sorted(self.without))}" if self.without else ""  # no ablation: the id that it always had
        body += f"/turns {self.turns}" if self.turns is not None else ""
        return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()

    def turn_seed(self, turn: int) -> int:
        """Seed of one turn's sampling: 63 bits, different for every task, sample and turn."""
        body = f"{self.seed}/{self.task.id}/{self.sample}/{turn}".encode()
        return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big") >> 1
