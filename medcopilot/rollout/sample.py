"""Sampling: play many episodes of a policy and keep every trace.

Promises: resumes by content hash, with nothing lost and nothing repeated, whatever ended the run before; the first rollout of a
task is greedy and the rest are sampled at `temperature` unless `greedy_first` is off; infrastructure failures are owed again; a
run that reaches its budget ends in good order. Alone on this process or with a crew of others, the traces are the same. What is
wrong with the settings is said before anything is built, and before the folder is the run's. `planned` in `summary.json` is how
many episodes the settings ask for, whatever ended the run.
Does not cover: what is sampled (`medcopilot.rollout.settings`) and where workers live (`medcopilot.rollout.backends`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from env.datasets import Built
from env.datasets.base import data_root
from env.errors import UserError
from env.gym import Gym
from env.sandbox import open_backend
from medcopilot import __version__
from medcopilot.code_record import code_record
from medcopilot.policies.base import Policy
from medcopilot.prices import Price, load_prices, price_of
from medcopilot.rollout.backends import WorkerDied, play_joblib, play_ray
from medcopilot.rollout.engine import NothingWorks
from medcopilot.rollout.jobs import Job
from medcopilot.rollout.settings import (
    OPERATIONAL,
    SampleConfig,
    build_all,
    check_config,
    choose_tasks,
    nothing_chosen,
    policy_of,
)
from medcopilot.rollout.worker import Played, Worker
from medcopilot.runs import OPTIONAL, RunFolder

Progress = Callable[[int, int, dict[str, Any]], None]
"""`progress(done, total, {"played": count, "success": rate, "infrastructure": count, "eta": seconds, "stopped": why})`: once before
anything is played, about twice a second, and once at the end. `played`, `success` (None: none of them is graded) and
`infrastructure` (masked) are of this call; `done` holds masked episodes too."""
_DEATHS = 3
"""Workers of a crew that may die before the run gives up."""
_INDEX_EVERY = 2_000
"""Traces after which the index is brought up to date: what a run that is killed has to read again."""


def sample_run(
    config: SampleConfig, progress: Progress = lambda *_: None, *, policy: Policy | None = None, root: Path | None = None
) -> Path:
    """Play what the config says; returns the run folder. The same call again resumes.

    `policy`: an object in place of the one that the config names; only this process can play it.

    Raises:
        UserError: the folder holds another run, no task is chosen, or nothing can be played.
        NothingWorks: every episode of the run was masked. They are owed.
    """
    check_config(config, playable=policy is not None)
    builts = build_all(config.datasets, config.builds, root)
    if policy is not None:
        _complete(config, builts, root, policy, progress)
        return config.out
    policy = policy_of(config, builts)
    try:
        _complete(config, builts, root, policy, progress)
    finally:  # an engine of ours would keep its weights and its cache as long as this process lives
        if (close := getattr(policy, "close", None)) is not None:
            close()
    return config.out


def _complete(config: SampleConfig, builts: dict[str, Built], root: Path | None, policy: Policy, progress: Progress) -> None:
    """Play what the run folder does not hold yet."""
    jobs = list(all_jobs(config, builts))
    run = open_run(config, builts, policy, planned=len(jobs))
    meter = None
    with run.alone():
        for deaths in range(_DEATHS + 1):
            done = run.done()
            owed = [job for job in jobs if job.trace_id(policy.name, config.protocol) not in done]
            meter = Meter(config, policy, run, len(done), len(owed), progress, meter)
            meter.tell()
            try:
                _play(config, builts, root, policy, run, owed, meter)
                break
            except WorkerDied:
                if deaths == _DEATHS:
                    raise
    run.index.refresh()
    meter.tell()
    meter.check()


def open_run(config: SampleConfig, builts: dict[str, Built], policy: Policy, planned: int) -> RunFolder:
    """The run's folder, with its record. Refused if it holds another run; not made where the sandbox does not start."""
    record = run_record(config, policy)
    RunFolder.begun(config.out, record)
    backend = open_backend(config.sandbox)
    try:
        gym = Gym(backend, builts.values(), protocol=config.protocol, stateful=config.stateful).describe()
    finally:
        backend.close()
    run = RunFolder.create(config.out, record)
    run.write_summary({"planned": planned, "version": __version__, "code": code_record(), "gym": gym, "policy": policy.describe(),
                       "builds": {name: built.manifest["request"] for name, built in builts.items()}})
    return run


def run_record(config: SampleConfig, policy: Policy) -> dict[str, Any]:
    """What tells this run from others: the policy's own record too, for new weights under an old path are another run."""
    record = config.model_dump(mode="json", exclude=OPERATIONAL)
    for name in OPTIONAL:
        if not record[name]:
            del record[name]
    return {**record, "policy_record": policy.describe()}


def all_jobs(config: SampleConfig, builts: dict[str, Built]) -> Iterator[Job]:
    """Every rollout of the run, the first of all tasks before the second of any.

    Raises:
        UserError: there is none.
    """
    chosen = [
        choose_tasks(built, config.split, config.slices, config.tasks_per_dataset, config.seed, config.skip_tasks)
        for built in builts.values()
    ]
    if not any(chosen):
        raise UserError(nothing_chosen(config, builts))
    for sample in range(config.samples):
        temperature = 0.0 if sample == 0 and config.greedy_first else config.temperature
        for tasks in chosen:
            for task in tasks:
                yield Job(task, sample, config.seed, temperature, config.top_p, config.profile, without=config.without,
                          turns=config.turns, loop_guard=config.loop_guard)


def _play(config: SampleConfig, builts: dict[str, Built], root: Path | None, policy: Policy, run: RunFolder,
          owed: Sequence[Job], meter: Meter) -> None:
    if not owed:
        return
    if config.backend == "local":
        worker = Worker(config, builts, run.writer(), policy=policy)
        try:
            worker.play(meter.while_it_lasts(owed), meter.count)
        finally:
            worker.close()
        return
    play = play_joblib if config.backend == "joblib" else play_ray
    play(config, root or data_root(), owed, config.workers, meter)


class Meter:
    """Counts traces as they end, tells `progress` about twice a second, and says when the budget is used up."""

    def __init__(self, config: SampleConfig, policy: Policy, run: RunFolder, before: int, owed: int, progress: Progress,
                 earlier: Meter | None = None) -> None:
        """`earlier`: of the same call, before a worker died; what it counted is used up."""
        self._config, self._run, self._before, self._owed, self._progress = config, run, before, owed, progress
        self._price: Price | None = price_of(load_prices(config.prices), policy.name)
        if config.max_cost is not None and self._price is None:
            raise UserError(f"max_cost: no price of {policy.name} is known: put it into the file of prices")
        self._count = self._success = self._graded = self._failed = self._tokens = self._earlier = 0
        self._cost, self._error = 0.0, ""
        self._start, self._told = time.monotonic(), 0.0
        self._began = self._start
        if earlier is not None:
            self._tokens, self._cost, self._began = earlier._tokens, earlier._cost, earlier._began
            # those that it counted as masked are owed again
            self._earlier = earlier._earlier + earlier._count - earlier._failed
            self._success, self._graded = earlier._success, earlier._graded

    def count(self, played: Played) -> None:
        """One trace more."""
        self._count += 1
        self._success += played.success
        self._graded += played.graded
        self._failed += played.masked
        self._error = played.error or self._error
        if played.completion_tokens is not None:
            self._tokens += played.completion_tokens
        elif self._config.max_tokens is not None and not played.masked:
            raise UserError("max_tokens: the policy does not say how many tokens its replies took: leave it out and set "
                            "max_seconds")
        if self._price is not None:
            self._pay(self._price, played)
        if self._count % _INDEX_EVERY == 0:
            self._run.index.refresh()
        if time.monotonic() - self._told > 0.5:
            self.tell()

    def tell(self) -> None:
        """How far the run is."""
        now = self._told = time.monotonic()
        left = self._owed - self._count
        eta = (now - self._start) / max(1, self._count) * left
        self._progress(self._before + self._count, self._before + self._owed,
                       {"played": self._earlier + self._count, "success": self._success / self._graded if self._graded else None,
                        "infrastructure": self._failed, "eta": eta, "stopped": self.over() if left else ""})

    def _pay(self, price: Price, played: Played) -> None:
        """Add a trace's cost. What masked episodes cost is left out: their tokens are not known.

        Raises:
            UserError: a budget in dollars was set, and the endpoint does not say what its replies took.
        """
        if played.prompt_tokens is not None and played.completion_tokens is not None:
            self._cost += price.of(played.prompt_tokens, played.completion_tokens)
        elif self._config.max_cost is not None and not played.masked:
            raise UserError("max_cost: the endpoint sends no usage, so what its replies cost is unknown: leave it out and set "
                            "max_seconds")

    def check(self) -> None:
        """Raises `NothingWorks` when the run has traces and every one is masked."""
        if not self._before and self._count and self._failed == self._count:
            raise NothingWorks(f"{self._config.out}: all {self._count} episodes failed in our machinery, the last with "
                               f"{self._error}: check engine and sandbox, then run the same command again")

    def over(self) -> str:
        """Which budget is used up; empty while none is."""
        config = self._config
        used = {"max_seconds": time.monotonic() - self._began, "max_tokens": self._tokens, "max_cost": self._cost}
        return next((name for name, value in used.items()
                     if (limit := getattr(config, name)) is not None and value >= limit), "")

    def while_it_lasts(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Jobs, until a budget is used up."""
        for job in jobs:
            if self.over():
                return
            yield job
