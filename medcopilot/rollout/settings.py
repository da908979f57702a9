"""What is sampled: the settings of a run, its tasks and its policy.

Promises: task choice is seeded; everything that changes the traces is in the record, and nothing else is.
Does not cover: playing (`medcopilot.rollout.sample`).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from env.datasets import BuildRequest, Built, get_dataset
from env.datasets.base import Dataset, data_root
from env.errors import UserError
from env.sandbox import BACKENDS
from env.task import Slice, Split, Task
from medcopilot.policies.base import Policy
from medcopilot.policies.load import check_policy, load_policy
from medcopilot.prices import load_prices
from medcopilot.train.config import Config

OPERATIONAL = {"out", "concurrency", "box_threads", "threads", "backend", "workers", "max_seconds", "max_tokens", "max_cost",
               "prices", "cache"}
"""Fields that change how a run is played, not what its traces say."""


class SampleConfig(Config):
    """What is sampled."""

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
    backend: Literal["local", "joblib", "ray"] = "local"
    workers: int = Field(1, ge=1)
    """Processes of joblib or Ray; concurrency and box threads are divided among them."""
    max_seconds: float | None = Field(None, gt=0)
    max_tokens: int | None = Field(None, ge=1)
    """Sampled by the policy, in this call; with prices, `max_cost` in US dollars. A run that reaches one of the three stops in good
    order: what is open is finished, and the same command with a larger budget goes on."""
    max_cost: float | None = Field(None, gt=0)
    prices: Path | None = None
    """YAML of prices, see `medcopilot.prices`."""
    cache: Path | None = None
    """SQLite file that keeps an endpoint's replies, see `medcopilot.policies.response_cache`."""
    sandbox: str = "auto"
    stateful: bool = False
    """Python programs of an episode share their variables."""
    loop_guard: bool = False
    """Tell an agent that repeats itself once, then end its episode; off, as in the paper."""


def check_config(config: SampleConfig, *, playable: bool = False) -> None:
    """Say at once what would otherwise be found after minutes of building, or after the run's folder was made.

    Args:
        playable: the policy is there as an object, and not to be looked for.

    Raises:
        UserError: no such policy, dataset, sandbox or file of prices, workers that cannot share a policy, or `out` cannot be a
            folder.
    """
    if not playable:
        check_policy(config.policy)
    if config.backend != "local" and config.policy.startswith("vllm:"):  # each would load an engine, all on the first GPU
        raise UserError(f"backend {config.backend}: policy {config.policy} is one engine in one process: choose backend local, or "
                        "start servers with `medcopilot serve` and sample served:FOLDER@URL,URL, which all workers share")
    if config.sandbox not in BACKENDS:
        raise UserError(f"no sandbox backend {config.sandbox!r}; choose one of: {', '.join(BACKENDS)}")
    place = next(path for path in (config.out, *config.out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise UserError(f"out: {place} is a file, not a folder: choose another place for the run")
    if not os.access(place, os.W_OK):
        raise UserError(f"out: {place} is not writable: choose another place for the run, or make it writable")
    if config.max_cost is not None or config.prices is not None:
        load_prices(config.prices)
    _datasets(config.datasets, config.builds)


def _datasets(names: Iterable[str], builds: Mapping[str, BuildRequest]) -> dict[str, Dataset]:
    """The named datasets.

    Raises:
        UserError: one does not exist, among `builds` too: a misspelt one would be taken as its synthetic twin unnoticed.
    """
    for name in builds:
        try:
            get_dataset(name)
        except UserError as error:
            raise UserError(f"builds: {error}") from None
    return {name: get_dataset(name) for name in names}


def build_all(names: tuple[str, ...], builds: dict[str, BuildRequest], root: Path | None = None) -> dict[str, Built]:
    """Built folders of the named datasets, building what is missing.

    Raises:
        UserError: a dataset does not exist; said before any is built.
    """
    return {name: dataset.build(builds.get(name, BuildRequest()), root or data_root())
            for name, dataset in _datasets(names, builds).items()}


def choose_tasks(built: Built, split: Split, slices: tuple[Slice, ...], count: int | None, seed: int, skip: int = 0) -> list[Task]:
    """A seeded choice of tasks: `count` of them after the first `skip`."""
    tasks = [task for task in built.iter_tasks(split) if not slices or task.slice in slices]
    random.Random(f"{seed}/{split}").shuffle(tasks)
    return tasks[skip:] if count is None else tasks[skip : skip + count]


def nothing_chosen(config: SampleConfig, builts: Mapping[str, Built]) -> str:
    """One sentence about a choice that holds no task."""
    there = {name: Counter(task.slice for task in built.iter_tasks(config.split)) for name, built in builts.items()}
    told = "; ".join(f"{name}: {', '.join(f'{part} {count:,}' for part, count in sorted(parts.items())) or 'none'}"
                     for name, parts in there.items())
    wanted = "".join([f" in the slices {', '.join(config.slices)}" if config.slices else "",
                      f" after the first {config.skip_tasks:,}" if config.skip_tasks else ""])
    return f"there is no task of the split {config.split}{wanted} ({told or 'no dataset is named'}): choose others"


def policy_of(config: SampleConfig, builts: dict[str, Built]) -> Policy:
    """The policy that the config names."""
    # a policy that plays here leaves nothing to ask the gate about
    elsewhere = config.policy.startswith(("openai:", "served:"))
    licences = {name: built.licence() for name, built in builts.items()} if elsewhere else {}
    options: dict[str, Any] = {"cache": config.cache} if config.cache and config.policy.startswith("openai:") else {}
    return load_policy(config.policy, seed=config.seed, detours=config.detours, licences=licences, threads=config.threads,
                       **options)
