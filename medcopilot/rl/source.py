"""Rounds from live episodes: gym, engine and stream of one rank, synchronous or one round ahead.

Promises: before a round is played the engine serves the weights that the trainer then has. With `staleness: 1` the next round
is played while the trainer learns from the last one, so its rollouts are exactly one round old, never more; weights change
between rounds only. What is in flight when a run is interrupted is played again.
Does not cover: which groups are kept (`stream`); replay (`dumps`).
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from env.errors import UserError
from env.gym import Gym
from env.sandbox import open_backend
from env.task import Task
from medcopilot.agent.profiles import limits_for
from medcopilot.rl.dumps import ReplaySource, write_round, write_tags
from medcopilot.rl.engines import make_policy
from medcopilot.rl.live import LivePolicy
from medcopilot.rl.rounds import Round, Source, rows_of
from medcopilot.rl.settings import OnlineConfig
from medcopilot.rl.shaped import open_scorer
from medcopilot.rl.stream import Harvest, NothingToLearn, TrajectoryStream
from medcopilot.rl.tasks import TaskSampler
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.settings import build_all, choose_tasks
from medcopilot.runs import ShardWriter
from medcopilot.trace import Trace
from medcopilot.train import parallel
from medcopilot.train.memory import give_back
from medcopilot.train.model import Checkpoint
from medcopilot.train.provenance import task_tags


class LiveSource:
    """Rounds of a `TrajectoryStream`.

    Args:
        sync: makes the engine serve the trainer's present weights; returns their version.
        ahead: rounds that are played in advance: 0 or 1.
        dump: folder to write every round to.
        engine: what the engine has to say once per round, e.g. how well served and trained weights agree.
    """

    def __init__(self, stream: TrajectoryStream, sync: Callable[[], int], *, ahead: int = 0, rank: int = 0, world: int = 1,
                 dump: Path | None = None, engine: Callable[[], dict[str, float]] = dict) -> None:
        self.stream, self.sync = stream, sync
        self.rank, self.world, self.dump = rank, world, dump
        self.ahead, self.engine = ahead, engine
        self.rounds = self.episodes = 0
        self._synced: int | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rollouts") if ahead else None
        self._coming: Future[Harvest] | None = None
        self._before = stream.state()
        """Where the stream stood before what is in flight."""

    def next(self, step: int) -> Round:
        """The next round, for a trainer that has made `step` optimiser steps."""
        started = time.perf_counter()
        if self._coming is not None:
            harvest, stale = self._together(self._coming.result), self._synced != step
            waited = time.perf_counter() - started
            synced = self._serve(step)
        else:
            synced, stale = self._serve(step), False
            before = time.perf_counter()
            harvest = self._together(self.stream.next)
            waited = time.perf_counter() - before
        self._before = self.stream.state()
        if self._pool is not None:
            self._coming = self._pool.submit(self.stream.next)
        settings = self.stream.settings
        metrics = {**harvest.metrics, "time/wait": waited, "staleness": float(stale), **synced, **self.engine()}
        played = Round(rows_of(harvest.groups), settings.groups * settings.group_size * self.world, metrics, harvest.played)
        episodes = sum(len(group.traces) for group in harvest.played)
        self.episodes += episodes
        if self.dump is not None:
            write_round(self.dump, self.rounds, self.rank, self.world, played, episodes)
        self.rounds += 1
        return played

    @staticmethod
    def _together(play: Callable[[], Harvest]) -> Harvest:
        """A round of this rank. What one rank cannot learn from ends the run on all of them: they would wait for it in vain."""
        harvest, reason = None, ""
        try:
            harvest = play()
        except NothingToLearn as hopeless:
            reason = str(hopeless)
        for found in parallel.from_all(reason):
            if found:
                raise NothingToLearn(found)
        assert harvest is not None
        return harvest

    def _serve(self, step: int) -> dict[str, float]:
        """The engine gets the present weights, if they have changed."""
        if self._synced == step:
            return {}
        before = time.perf_counter()
        give_back()  # of the update
        self.sync()
        self._synced = step
        return {"time/sync": time.perf_counter() - before}

    def state(self) -> dict[str, Any]:
        """Plain data for `restore`."""
        return {**(self._before if self.ahead else self.stream.state()), "rounds": self.rounds, "episodes": self.episodes}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state()`."""
        self.stream.restore(state)
        self._before = self.stream.state()
        self.rounds, self.episodes = int(state["rounds"]), int(state["episodes"])

    def tags(self) -> Counter[tuple[str, str]]:
        """(dataset, licence) of the tasks, counted."""
        return task_tags(self.stream.sampler.tasks)

    def details(self) -> dict[str, Any]:
        """What the checkpoint's record says."""
        return {"groups_drawn": self.stream.sampler.draws, "episodes": self.episodes}

    def close(self) -> None:
        """Give up what is in flight."""
        if self._pool is not None:
            self.stream.abort()
            self._pool.shutdown(wait=True)


@contextlib.contextmanager
def open_source(config: OnlineConfig, source: Checkpoint, live: LivePolicy | None, rank: int = 0, world: int = 1
                ) -> Iterator[Source]:
    """A replay, or gym, engine and stream of one rank; closes them all.

    Args:
        live: what the engine serves; a replay has none.
    """
    if live is None:
        assert config.replay is not None
        yield ReplaySource(config.replay, rank=rank, world=world)
        return
    profile, settings = source.meta.profile, config.rollouts
    builts = build_all(config.datasets, config.builds)
    tasks = [task for built in builts.values() for task in choose_tasks(built, "train", (), config.tasks_per_dataset, config.seed)]
    with contextlib.ExitStack() as stack:
        backend = open_backend(config.sandbox)
        stack.callback(backend.close)
        policy = make_policy(config, source, live, {name: built.licence() for name, built in builts.items()})
        stack.callback(policy.close)
        if settings.staleness and getattr(policy, "engine_name", "") == "generate" and not live.copied:
            raise UserError("rollouts.staleness: 1 needs an engine with its own copy of the weights, but transformers' `generate` "
                            "reads the model under training: set engine.kind: vllm, or staleness: 0")
        engine = RolloutEngine(policy, Gym(backend, builts.values()), concurrency=settings.concurrency,
                               box_threads=settings.box_threads)
        stack.callback(engine.close)
        keep: Callable[[Trace], None] = lambda _: None  # noqa: E731
        if config.keep_traces:
            keep = stack.enter_context(ShardWriter(config.run / f"traces-{config.name}" / f"rank{rank}.jsonl")).write
        sampler = TaskSampler(tasks, seed=config.seed * 1009 + rank, priority=config.priority)
        stream = TrajectoryStream(engine, sampler, settings, profile=profile, turn_limit=_turn_limit(tasks[0], profile),
                                  on_trace=keep, seed=config.seed * 1009 + rank, score=open_scorer(settings.verifier))
        dump = config.run / "rollouts" / config.name if config.dump else None

        def sync() -> int:
            live.refresh()
            return int(policy.update())

        rounds = LiveSource(stream, sync, ahead=settings.staleness, rank=rank, world=world, dump=dump,
                            engine=lambda: {**live.metrics(), **policy.metrics()})
        stack.callback(rounds.close)
        if dump is not None:
            write_tags(dump, rounds.tags())
        yield rounds


def _turn_limit(task: Task, profile: str) -> int:
    return limits_for(task.view, profile).turns
