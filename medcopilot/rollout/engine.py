"""Many episodes at once: one coroutine per episode, no barrier between turns.

Promises: at most `concurrency` episodes are open; an infrastructure failure is tried again on fresh machinery and then recorded
as masked; an episode that outlives its deadline is such a failure. Order of traces is order of completion.
Does not cover: where traces go (`medcopilot.runs`) and what is sampled next (`medcopilot.rl`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from env.errors import InfrastructureError
from env.gym import Gym
from medcopilot.agent.loop import run_episode
from medcopilot.agent.profiles import limits_for
from medcopilot.policies.base import Policy
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace


class EpisodeDeadline(InfrastructureError):
    """An episode outlived every limit of its parts: something of ours hangs."""


class RolloutEngine:
    """Plays jobs with one policy in one gym."""

    def __init__(self, policy: Policy, gym: Gym, *, concurrency: int = 32, box_threads: int = 4, retries: int = 2) -> None:
        self.policy = policy
        self.gym = gym
        self.concurrency = concurrency
        self.retries = retries
        self._pool = ThreadPoolExecutor(box_threads, thread_name_prefix="box")

    async def run(self, jobs: Iterable[Job], on_trace: Callable[[Trace], None]) -> None:
        """Play every job; `on_trace` is called in the event loop, once per job, as each completes."""
        feed = iter(jobs)

        async def work() -> None:
            for job in feed:
                on_trace(await self.play(job))

        async with asyncio.TaskGroup() as group:
            for _ in range(self.concurrency):
                group.create_task(work())

    def run_sync(self, jobs: Iterable[Job], on_trace: Callable[[Trace], None]) -> None:
        """`run` for callers without an event loop."""
        try:
            asyncio.run(self.run(jobs, on_trace))
        except* KeyboardInterrupt:
            raise KeyboardInterrupt from None
        except* Exception as group:
            raise group.exceptions[0] from None

    async def play(self, job: Job) -> Trace:
        """One job, with retries of infrastructure failures."""
        limits = limits_for(job.task.view, job.profile)
        # generation has no bound of its own here; 60 s per turn is far above any healthy engine's
        deadline = limits.turns * (limits.exec_seconds + 60.0) + 2 * limits.exec_seconds
        for attempt in range(self.retries + 1):
            try:
                trace = await asyncio.wait_for(run_episode(job, self.policy, self.gym, self._pool), deadline)
            except TimeoutError:
                raise EpisodeDeadline(f"task {job.task.id} did not end within {deadline:.0f} s: check engine and sandbox") from None
            if trace.stop != "infrastructure" or attempt == self.retries:
                return trace
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Stop the box threads."""
        self._pool.shutdown(wait=True)
