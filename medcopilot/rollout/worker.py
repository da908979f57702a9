"""One sampling process: a gym, a policy and a shard of its own.

The local run has one of these in its own process; joblib and Ray have one in each of theirs. Promises: the same job gives the
same trace wherever it is played; each trace is with the kernel when it is reported, so that no kill loses it, and on the disk when
`play` returns.
Does not cover: which worker plays what (`medcopilot.rollout.backends`).
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from env.datasets import Built
from env.gym import Gym
from env.sandbox import open_backend
from medcopilot.policies.base import Policy
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.jobs import Job
from medcopilot.rollout.settings import SampleConfig, build_all, policy_of
from medcopilot.runs import RunFolder, ShardWriter
from medcopilot.trace import Trace, used_tokens


@dataclass(frozen=True)
class Played:
    """What is told of a trace while sampling."""

    success: bool
    graded: bool
    masked: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    error: str = ""
    """Why it is masked."""

    @classmethod
    def of(cls, trace: Trace) -> Played:
        masked = trace.stop == "infrastructure"
        sampled = [turn.sampled_tokens for turn in trace.turns]
        prompt, completion = used_tokens(sampled, trace.prompt_tokens, trace.completion_tokens, masked)
        return cls(trace.success, trace.graded, masked, prompt, completion, trace.error if masked else "")


class Worker:
    """Plays jobs of one run. Close it."""

    def __init__(self, config: SampleConfig, builts: dict[str, Built], writer: ShardWriter, *, policy: Policy | None = None,
                 share: int = 1) -> None:
        """`share`: how many workers the config's concurrency is divided among."""
        self._backend = open_backend(config.sandbox)
        self.gym = Gym(self._backend, builts.values(), protocol=config.protocol, stateful=config.stateful)
        self.policy = policy or policy_of(config, builts)
        self._writer = writer
        self._engine = RolloutEngine(self.policy, self.gym, concurrency=math.ceil(config.concurrency / share),
                                     box_threads=math.ceil(config.box_threads / share))

    def play(self, jobs: Iterable[Job], tell: Callable[[Played], None] = lambda _: None) -> None:
        """Play all; `tell` hears of each as it ends."""
        def keep(trace: Trace) -> None:
            self._writer.write(trace)
            tell(Played.of(trace))

        try:
            self._engine.run_sync(jobs, keep)
        finally:
            self._writer.sync()

    def close(self) -> None:
        self._engine.close()
        self._backend.close()
        self._writer.close()


def remote_worker(config: SampleConfig, root: Path | None, share: int) -> Worker:
    """A worker in a process of a crew. Its shard is the first of this host's that has no writer."""
    host = "".join(letter if letter.isalnum() else "-" for letter in socket.gethostname())
    writer = RunFolder(config.out).claim(f"worker-{host}")
    return Worker(config, build_all(config.datasets, config.builds, root), writer, share=share)
