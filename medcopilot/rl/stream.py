"""From live episodes to whole groups that teach something.

Promises: a group is all rollouts of one task under one policy version; groups whose graded rollouts all have the same raw
outcome are dropped (their advantages are 0) and replaced, up to a bound; infrastructure failures are masked: they take no part
in a group's statistics, and a group with fewer than two graded rollouts is dropped. Generation, environment and grading of all
groups in flight overlap; new groups start while others are still playing.
Does not cover: tensors (`batch`) and the update (`trainer`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from env.errors import UserError
from env.task import Task
from medcopilot.agent.profiles import limits_for
from medcopilot.loops import looping_turns
from medcopilot.rl.advantages import group_advantages, informative
from medcopilot.rl.group import Group
from medcopilot.rl.metrics import measure
from medcopilot.rl.settings import RolloutSettings
from medcopilot.rl.shaped import Scorer, graded_score, rollout_of, scores_of
from medcopilot.rl.tasks import TaskSampler
from medcopilot.rollout.jobs import Job
from medcopilot.trace import Trace
from rewards.shaping import check_weights, total


class NothingToLearn(UserError):
    """Every group of several full rounds had one outcome: the policy solves all or none of its tasks."""


class Player(Protocol):
    """What the stream needs of `medcopilot.rollout.engine.RolloutEngine`."""

    concurrency: int

    async def play(self, job: Job) -> Trace:
        """One episode, retries included."""


@dataclass
class Harvest:
    """What one step gets."""

    groups: list[Group]
    """The kept ones."""
    played: list[Group]
    """All of them."""
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


def judge(task: Task, traces: list[Trace], settings: RolloutSettings, turn_limit: int, *, profile: str = "full",
          verified: Sequence[float | None] | None = None) -> Group:
    """Rewards, advantages and the verdict on one group. `verified`: a verifier's score of each trace."""
    limits = limits_for(task.view, profile).model_copy(update={"turns": turn_limit})
    scored = [total(rollout_of(trace, limits, score, settings.grader), settings.rewards)
              for trace, score in zip(traces, verified or [None] * len(traces), strict=True)]
    rewards = [reward for reward, _ in scored]
    outcomes = [graded_score(trace, settings.grader) == 1.0 if reward is not None else None
                for trace, reward in zip(traces, rewards, strict=True)]
    versions = {version for trace, reward in zip(traces, rewards, strict=True) if reward is not None and trace.tokens
                for version, sampled in zip(trace.tokens.versions, trace.tokens.mask, strict=True) if sampled}
    verdict = "kept"
    if sum(reward is not None for reward in rewards) < (2 if settings.filter else 1):
        verdict = "ungraded"
    elif len(versions) > 1:
        verdict = "versions"
    elif settings.filter and not informative(outcomes):
        verdict = "zero_variance"
    advantages = [value if value > 0 else settings.negative * value for value in group_advantages(rewards, settings.scale)]
    return Group(task, traces, rewards, advantages, [terms for _, terms in scored], verdict)


class TrajectoryStream:
    """Groups for a trainer, one step at a time.

    Args:
        player: plays episodes; usually a `RolloutEngine`.
        sampler: says which tasks.
        profile: prompt profile of the policy.
        turn_limit: of the profile, for reward terms that look at turns.
        on_trace: told of every finished episode (to keep it, or to show progress).
        seed: of the rollouts.
        score: scores finished episodes for the reward term `verifier`, called beside the event loop.

    Raises:
        UserError: the rewards ask for a verifier and there is no `score`.
    """

    def __init__(self, player: Player, sampler: TaskSampler, settings: RolloutSettings, *, profile: str = "full",
                 turn_limit: int = 15, on_trace: Callable[[Trace], None] = lambda _: None, seed: int = 0,
                 score: Scorer | None = None) -> None:
        try:
            check_weights(settings.rewards, verifier=score is not None)
        except ValueError as error:
            raise UserError(str(error)) from None
        self.player = player
        self.sampler = sampler
        self.settings = settings
        self.profile = profile
        self.turn_limit = turn_limit
        self.on_trace = on_trace
        self.seed = seed
        self.score = score
        self.yield_rate = 1.0
        """Moving share of played groups that are kept: decides how many are started at once."""
        self._collecting: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._aborted = False

    def next(self, attempts: int = 3) -> Harvest:
        """The next step's groups: `settings.groups` or a few more, fewer only at the bound of `settings.max_groups`.

        Raises:
            NothingToLearn: not one group could be kept in `attempts` full rounds.
        """
        for _ in range(attempts):
            if self._aborted:
                raise asyncio.CancelledError
            harvest = asyncio.run(self.collect())
            if harvest.groups:
                return harvest
        counts = Counter(group.verdict for group in harvest.played)
        raise NothingToLearn(f"none of {len(harvest.played)} groups can be learnt from ({dict(counts)}): the policy solves all or "
                             "none of its tasks: train on other tasks (`datasets`), or start from a better checkpoint")

    async def collect(self) -> Harvest:
        """Play groups until enough are kept. Everything that was started is waited for and used."""
        started = time.perf_counter()
        this = asyncio.current_task()
        assert this is not None
        self._collecting = (asyncio.get_running_loop(), this)
        gate = asyncio.Semaphore(self.player.concurrency)
        played: list[Group] = []
        running: set[asyncio.Task[Group]] = set()
        launched = 0
        try:
            while True:
                kept = sum(group.verdict == "kept" for group in played)
                wanted = self._wanted(kept, len(running))
                for _ in range(min(wanted, self.settings.max_groups - launched)):
                    running.add(asyncio.create_task(self._play_group(gate)))
                    launched += 1
                if not running:
                    break
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    played.append(self._note(finished.result()))
        finally:
            self._collecting = None
            for task in running:
                task.cancel()
        seconds = time.perf_counter() - started
        kept_groups = [group for group in played if group.verdict == "kept"]
        return Harvest(kept_groups, played, seconds, measure(played, seconds, lambda trace: bool(looping_turns(trace))))

    def abort(self) -> None:
        """Give up the collection that another thread waits for; nothing can be collected afterwards."""
        self._aborted = True
        if (collecting := self._collecting) is not None:
            loop, task = collecting
            with contextlib.suppress(RuntimeError):  # it ended in this moment
                loop.call_soon_threadsafe(task.cancel)

    def _wanted(self, kept: int, running: int) -> int:
        """Groups to start now, so that the expected number of kept ones reaches the aim."""
        if kept >= self.settings.groups:
            return 0
        rate = max(self.yield_rate, 0.25)
        return max(0, math.ceil((self.settings.groups - kept) / rate - 1e-9) - running)

    async def _play_group(self, gate: asyncio.Semaphore) -> Group:
        number, task = self.sampler.draw()
        settings = self.settings

        async def one(sample: int) -> Trace:
            async with gate:
                job = Job(task, sample, self.seed * 1_000_003 + number, settings.temperature, settings.top_p, self.profile)
                trace = await self.player.play(job)
            self.on_trace(trace)
            return trace

        traces = await asyncio.gather(*(one(sample) for sample in range(settings.group_size)))
        verified = await scores_of(traces, self.score, settings.grader)
        return judge(task, list(traces), settings, self.turn_limit, profile=self.profile, verified=verified)

    def _note(self, group: Group) -> Group:
        if group.verdict in ("kept", "zero_variance"):
            self.yield_rate += 0.05 * ((group.verdict == "kept") - self.yield_rate)
            graded = [graded_score(trace, self.settings.grader) == 1.0
                      for trace, reward in zip(group.traces, group.rewards, strict=True) if reward is not None]
            self.sampler.report(group.task, sum(graded) / len(graded))
        return group

    def state(self) -> dict[str, Any]:
        """Plain data for `restore`."""
        return {"sampler": self.sampler.state(), "yield_rate": self.yield_rate}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.sampler.restore(state["sampler"])
        self.yield_rate = float(state["yield_rate"])
