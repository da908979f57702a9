"""Many episodes at once: one coroutine per episode, no barrier between turns.

Promises: at most `concurrency` episodes are open; a failure of our machinery, of whatever type, is tried again and then recorded
as masked, and the run goes on; an episode that outlives its deadline is such a failure. Only a user's mistake, or many failed
episodes in a row, ends a run. Order of traces is order of completion.
Episodes of an `InstantPolicy` are played whole by a box thread each: no more of them hold a box than there are threads
(`medcopilot.rollout.instant`).
Does not cover: where traces go (`medcopilot.runs`) and what is sampled next (`medcopilot.rl`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from env.errors import InfrastructureError, UserError
from env.gym import Gym
from medcopilot.agent.loop import masked_trace, run_episode, run_instant
from medcopilot.agent.profiles import limits_for
from medcopilot.policies.base import InstantPolicy, Policy
from medcopilot.rollout.instant import AllHang, play_instant
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace

GIVE_UP_AFTER = 64
"""Episodes in a row that failed, each after its retries: nothing works, and every further one would be masked too."""


class NothingWorks(InfrastructureError, UserError):
    """Many episodes in a row failed. What was played is kept; the rest is owed."""


class RolloutEngine:
    """Plays jobs with one policy in one gym."""

    def __init__(self, policy: Policy, gym: Gym, *, concurrency: int = 32, box_threads: int = 4, retries: int = 2) -> None:
        self.policy = policy
        self.gym = gym
        self.concurrency = concurrency
        self.retries = retries
        self._failed = 0
        self._queue = math.ceil(concurrency / box_threads)
        """Episodes that one box thread serves: how long an execution may have to wait for its turn."""
        self._threads = box_threads
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
        """`run` for callers without an event loop; `on_trace` is called by one thread at a time."""
        if isinstance(self.policy, InstantPolicy):
            self._run_instant(jobs, on_trace)
            return
        try:
            asyncio.run(self.run(jobs, on_trace))
        except* KeyboardInterrupt:
            raise KeyboardInterrupt from None
        except* Exception as group:
            raise group.exceptions[0] from None

    def _run_instant(self, jobs: Iterable[Job], on_trace: Callable[[Trace], None]) -> None:
        """`run` of instant episodes."""
        def seconds(job: Job) -> float:
            return self.deadline(job) * (self.retries + 1)

        def keep(job: Job, trace: Trace | None) -> None:
            on_trace(self._counted(trace or masked_trace(job, self.policy, self.gym, _overdue(seconds(job)))))

        try:
            play_instant(jobs, self._tried, keep, self._pool, min(self._threads, self.concurrency), seconds)
        except AllHang:
            raise NothingWorks("every box thread hangs in an episode: check the sandbox") from None

    def _tried(self, job: Job) -> Trace:
        """An instant episode, with retries of failures of our machinery."""
        for _ in range(self.retries + 1):
            trace = run_instant(job, self.policy, self.gym)
            if trace.stop != "infrastructure":
                break
        return trace

    async def play(self, job: Job) -> Trace:
        """One job, with retries of failures of our machinery.

        Raises:
            UserError: nothing can be played at all.
            NothingWorks: this was one failure too many.
        """
        deadline = self.deadline(job)
        for _ in range(self.retries + 1):
            try:
                trace = await asyncio.wait_for(run_episode(job, self.policy, self.gym, self._pool), deadline)
            except TimeoutError:
                trace = masked_trace(job, self.policy, self.gym, _overdue(deadline))
            if trace.stop != "infrastructure":
                break
        return self._counted(trace)

    def _counted(self, trace: Trace) -> Trace:
        """The trace, after its retries.

        Raises:
            NothingWorks: this was one failure too many.
        """
        self._failed = self._failed + 1 if trace.stop == "infrastructure" else 0
        if self._failed >= GIVE_UP_AFTER:
            raise NothingWorks(f"{self._failed} episodes in a row failed, the last with {trace.error}: check engine and sandbox")
        return trace

    def deadline(self, job: Job) -> float:
        """Seconds after which an episode hangs. Above what slow programs can use up while all others are slow too: an agent must
        not get its episode masked by wasting time."""
        limits = limits_for(job.task.view, job.profile)
        # generation has no bound of its own here; 60 s per turn is far above any healthy engine's
        return limits.turns * (self._queue * 2 * (limits.exec_seconds + 30.0) + 60.0) + 4 * self._queue * limits.exec_seconds

    def close(self) -> None:
        """Stop the box threads."""
        self._pool.shutdown(wait=True)


def _overdue(seconds: float) -> str:
    return f"EpisodeDeadline: not ended within {seconds:.0f} s"
