"""Sampling: play many episodes of a policy and keep every trace.

Promises: resumes by content hash, with nothing lost and nothing repeated; the first rollout of a task is greedy and the rest
are sampled at `temperature` unless `greedy_first` is off; task choice is seeded; infrastructure failures are owed again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from env.datasets import BuildRequest, Built, get_dataset
from env.datasets.base import data_root
from env.gym import Gym
from env.sandbox import open_backend
from env.task import Slice, Split, Task
from medcopilot import __version__
from medcopilot.policies.base import Policy
from medcopilot.policies.load import load_policy
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.jobs import Job
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace
from medcopilot.train.config import Config

Progress = Callable[[int, int, dict[str, Any]], None]
"""`progress(done, total, {"success": rate, "infrastructure": count, "eta": seconds})`."""


class SampleConfig(Config):
    """What is sampled. Everything that changes the traces is in here."""

    out: Path
    """Run folder."""
    policy: str
    """See `medcopilot.policies.load`."""
    datasets: tuple[str, ...] = ("mimic_iii", "medcalcbench")
    builds: dict[str, BuildRequest] = Field(default_factory=dict)
    """How a dataset is built; default: the synthetic twin at the paper's counts."""
    split: Split = "test"
    slices: tuple[Slice, ...] = ()
    """Only these slices; empty: all."""
    tasks_per_dataset: int | None = Field(None, ge=1)
    skip_tasks: int = Field(0, ge=0)
    """Leave out the first so many of the seeded order (the ones that another run with the same seed used)."""
    samples: int = Field(1, ge=1)
    temperature: float = Field(0.6, ge=0)
    greedy_first: bool = True
    top_p: float = Field(1.0, gt=0, le=1)
    profile: Literal["full", "nano"] = "full"
    protocol: Literal["submit", "paper"] = "submit"
    without: tuple[Literal["request_info", "terminal", "code_execution", "debugging"], ...] = ()
    """Ablation: actions that are neither told of nor carried out."""
    turns: int | None = Field(None, ge=1)
    """Ablation: at most so many turns; None: the profile's limit."""
    seed: int = 0
    detours: float = Field(0.3, ge=0, le=1)
    """Of the scripted expert."""
    concurrency: int = Field(32, ge=1)
    box_threads: int = Field(4, ge=1)
    threads: int | None = None
    """CPU threads of the engine."""
    sandbox: str = "auto"
    stateful: bool = False
    """Python programs of an episode share their variables."""
    loop_guard: bool = False
    """Tell an agent that repeats itself once, then end its episode; off, as in the paper."""


def build_all(names: tuple[str, ...], builds: dict[str, BuildRequest], root: Path | None = None) -> dict[str, Built]:
    """Built folders of the named datasets, building what is missing."""
    return {name: get_dataset(name).build(builds.get(name, BuildRequest()), root or data_root()) for name in names}


def choose_tasks(built: Built, split: Split, slices: tuple[Slice, ...], count: int | None, seed: int, skip: int = 0) -> list[Task]:
    """A seeded choice of tasks: `count` of them after the first `skip`."""
    tasks = [task for task in built.iter_tasks(split) if not slices or task.slice in slices]
    random.Random(f"{seed}/{split}").shuffle(tasks)
    return tasks[skip:] if count is None else tasks[skip : skip + count]


def sample_run(
    config: SampleConfig, progress: Progress = lambda *_: None, *, policy: Policy | None = None, root: Path | None = None
) -> Path:
    """Play what the config says; returns the run folder. The same call again resumes."""
    builts = build_all(config.datasets, config.builds, root)
    backend = open_backend(config.sandbox)
    gym = Gym(backend, builts.values(), protocol=config.protocol, stateful=config.stateful)
    if policy is None:
        licences = {
            name: get_dataset(name).licence if built.manifest["request"]["source"] else "synthetic"
            for name, built in builts.items()
        }
        policy = load_policy(config.policy, seed=config.seed, detours=config.detours, licences=licences, threads=config.threads)
    # the policy's own record is part of the digest: new weights under an old path are another run
    record = config.model_dump(mode="json", exclude={"out", "concurrency", "box_threads", "threads"})
    for name in ("without", "turns", "loop_guard"):  # runs from before there were ablations and a guard resume
        if not record[name]:
            del record[name]
    record["policy_record"] = policy.describe()
    run = RunFolder.create(config.out, record)
    run.write_summary(
        {
            "version": __version__,
            "gym": gym.describe(),
            "policy": policy.describe(),
            "builds": {name: built.manifest["request"] for name, built in builts.items()},
        }
    )
    done = run.done()
    jobs = [job for job in _jobs(config, builts) if job.trace_id(policy.name, config.protocol) not in done]
    engine = RolloutEngine(policy, gym, concurrency=config.concurrency, box_threads=config.box_threads)
    try:
        with run.writer() as writer:
            engine.run_sync(jobs, _Meter(len(done), len(jobs), writer.write, progress))
    finally:
        engine.close()
        backend.close()
    run.rebuild_index()
    return config.out


def _jobs(config: SampleConfig, builts: dict[str, Built]) -> Iterator[Job]:
    chosen = [
        choose_tasks(built, config.split, config.slices, config.tasks_per_dataset, config.seed, config.skip_tasks)
        for built in builts.values()
    ]
    for sample in range(config.samples):
        temperature = 0.0 if sample == 0 and config.greedy_first else config.temperature
        for tasks in chosen:
            for task in tasks:
                yield Job(task, sample, config.seed, temperature, config.top_p, config.profile, without=config.without,
                          turns=config.turns, loop_guard=config.loop_guard)


class _Meter:
    """Counts traces on their way to the writer and tells `progress` about twice a second."""

    def __init__(self, before: int, owed: int, write: Callable[[Trace], None], progress: Progress) -> None:
        self._before, self._owed, self._write, self._progress = before, owed, write, progress
        self._count = self._success = self._graded = self._failed = 0
        self._start, self._told = time.monotonic(), 0.0

    def __call__(self, trace: Trace) -> None:
        self._write(trace)
        self._count += 1
        self._success += trace.success
        self._graded += trace.graded
        self._failed += trace.stop == "infrastructure"
        now = time.monotonic()
        if now - self._told > 0.5 or self._count == self._owed:
            self._told = now
            eta = (now - self._start) / self._count * (self._owed - self._count)
            self._progress(
                self._before + self._count,
                self._before + self._owed,
                {"success": self._success / max(1, self._graded), "infrastructure": self._failed, "eta": eta},
            )
