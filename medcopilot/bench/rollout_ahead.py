"""One round ahead against synchronous: steps per second of our GRPO trainer in both modes, two cores.

Promises: policy, tasks, seeds, sizes and every setting are those of one configuration but for `rollouts.staleness`; the parts are
those of `recipes/grpo.py` (checkpoint, rollout engine, stream, source of rounds, trainer, optimiser, metrics). The engine's thread
is pinned to one core and the trainer's to another in both modes; the event loop and the episodes' threads run on the engine's core
when a round is played ahead, and on the trainer's, which is idle then, when it is not: that favours the synchronous mode.
The modes take turns; the first steps of each turn are not counted. Groups are not filtered (a random policy solves nothing), so
that every round has the same episodes; `attainable` is what perfect overlap of the synchronous mode's parts would give.
Does not cover: an engine on other devices than the trainer's, where nothing is shared but the host.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainerCallback

from env.task import Task
from medcopilot.agent.render import ChatRenderer
from medcopilot.bench.plan import Plan
from medcopilot.bench.workload import CONTEXT, TimedGym, Workload, make_tasks
from medcopilot.jsonl import read_rows
from medcopilot.rl.engines import make_policy
from medcopilot.rl.grpo import GrpoConfig, build_trainer, make_arguments
from medcopilot.rl.live import LivePolicy
from medcopilot.rl.settings import EngineSettings, RolloutSettings
from medcopilot.rl.source import LiveSource
from medcopilot.rl.stream import Harvest, TrajectoryStream
from medcopilot.rl.tasks import TaskSampler
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.train import loop
from medcopilot.train.model import CheckpointMeta, save_checkpoint
from medcopilot.train.optim import OptimizerConfig
from medcopilot.train.policy import load_policy
from medcopilot.train.settings import ModelConfig

GROUP = 8
WARM = 2
"""Steps that are not counted: ahead, the first one waits for its own round."""
MODES = {0: "synchronous", 1: "one round ahead"}


class Cores(NamedTuple):
    """Where the two sides run; the same one where the machine has only one."""

    engine: int
    trainer: int


class Turn(NamedTuple):
    """Some steps in one mode, those that count."""

    steps: int
    seconds: float
    wait: float
    """Seconds of them in which the trainer had nothing to learn from."""
    update: float
    """Seconds of updates."""
    episodes: int
    """Per step."""


def cores() -> Cores:
    """The first two cores that this process may use."""
    free = sorted(os.sched_getaffinity(0))
    return Cores(free[1 % len(free)], free[0])


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """The calling thread, and threads that it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class PinnedStream(TrajectoryStream):
    """A stream whose rounds are played on the engine's core when they are played beside the trainer."""

    core: int | None = None

    def next(self, attempts: int = 3) -> Harvest:
        if self.core is not None and threading.current_thread() is not threading.main_thread():
            os.sched_setaffinity(0, {self.core})
        return super().next(attempts)


class Quiet(loop.Progress):
    """No line of its own: the benchmark's plan speaks."""

    def _show(self, step: int, elapsed: float) -> None:
        pass


class StepClock(TrainerCallback):
    """When each step ended; ends training after `steps`."""

    def __init__(self, steps: int, tell: Callable[[float], object]) -> None:
        self.steps, self.tell = steps, tell
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())
        self.tell(len(self.ends) / self.steps)
        control.should_training_stop = len(self.ends) >= self.steps


def make_config(folder: Path, staleness: int, groups: int, steps: int) -> GrpoConfig:
    """The settings of recipes/nano/grpo.yaml where they concern speed, with the round of this benchmark."""
    rollouts = RolloutSettings(groups=groups, group_size=GROUP, max_groups=groups, filter=False, concurrency=groups * GROUP,
                               box_threads=2, rewards={"outcome": 1.0}, scale="none", staleness=staleness)  # type: ignore[arg-type]
    return GrpoConfig(run=folder / f"run-{staleness}", name="grpo", max_steps=steps, log_steps=1, micro_batches=4,
                      model=ModelConfig(checkpoint=str(folder / "policy")), rollouts=rollouts,
                      engine=EngineSettings(options={"stops": [], "capacity": CONTEXT}),
                      optimizer=OptimizerConfig(name="sgd", lr=0.1, schedule="linear", warmup_steps=3, floor=0.05))


@contextlib.contextmanager
def open_source(config: GrpoConfig, checkpoint: Any, tasks: Sequence[Task], workload: Workload, pin: Cores) -> Iterator[LiveSource]:
    """Rounds of the benchmark's episodes, as `medcopilot.rl.source` makes them of a dataset's."""
    settings = config.rollouts
    with contextlib.ExitStack() as stack:
        policy = make_policy(config, checkpoint, LivePolicy(checkpoint.model, config, ChatRenderer(checkpoint.tokenizer)))
        stack.callback(policy.close)
        policy.thread.order(lambda engine: os.sched_setaffinity(0, {pin.engine}))
        engine = RolloutEngine(policy, TimedGym(), concurrency=settings.concurrency, box_threads=settings.box_threads)
        stack.callback(engine.close)
        stream = PinnedStream(engine, TaskSampler(tasks), settings, profile="nano", turn_limit=workload.turns)
        stream.core = pin.engine
        source = LiveSource(stream, policy.update, ahead=settings.staleness, engine=policy.metrics)
        stack.callback(source.close)
        yield source


def take_turn(folder: Path, workload: Workload, staleness: int, groups: int, steps: int, pin: Cores,
              tell: Callable[[float], object] = lambda _: None) -> Turn:
    """`WARM` steps that do not count and `steps` that do.

    Raises:
        RuntimeError: a round was not what the mode promises.
    """
    config = make_config(folder, staleness, groups, WARM + steps)
    loop.prepare_torch(config)
    arguments = make_arguments(config)
    checkpoint = load_policy(config.model, config.seed)
    horizon, clock = loop.Horizon(config.max_steps, None), StepClock(WARM + steps, tell)
    progress = Quiet(config, horizon)
    config.metrics.unlink(missing_ok=True)
    with pinned(pin.trainer), open_source(config, checkpoint, make_tasks(64, workload), workload, pin) as source:
        trainer = build_trainer(config, arguments, checkpoint, source)
        trainer.horizon, trainer.stage_optimizer, trainer.progress = horizon, config.optimizer, progress
        trainer.step_log.progress = progress
        trainer.add_callback(clock)
        loop.train(trainer, config, horizon, progress, None)
        episodes = source.episodes
    rows = read_rows(config.metrics)[WARM:]
    sampled = {row["rollouts/sampled_tokens"] for row in rows}
    if (episodes != groups * GROUP * (WARM + steps) or sampled != {float(workload.tokens)}
            or {row["staleness"] for row in rows} != {float(staleness)}):
        raise RuntimeError(f"{MODES[staleness]}: {episodes} episodes of {sampled} sampled tokens in {WARM + steps} steps")
    return Turn(steps, clock.ends[-1] - clock.ends[WARM - 1], sum(row["time/wait"] for row in rows),
                sum(row["time/update"] for row in rows), groups * GROUP)


def measure(workload: Workload, model: Any, tokenizer: Any, *, groups: int = 10, steps: int = 5, turns: int = 2,
            plan: Plan | None = None) -> dict[str, Any]:
    """Both modes, `turns` times each.

    Returns:
        A row per mode and `speedup_one_step_ahead`.
    """
    plan = plan or Plan(expected(groups, steps, turns))
    pin = cores()
    taken: dict[int, list[Turn]] = {staleness: [] for staleness in MODES}
    with tempfile.TemporaryDirectory(prefix="medcopilot-bench-") as name:
        save_checkpoint(model, tokenizer, Path(name, "policy"), CheckpointMeta(profile="nano"))
        for number in range(turns):
            for staleness in MODES:
                part = part_name(staleness, number)
                plan.at(part, 0.0)
                taken[staleness].append(take_turn(Path(name), workload, staleness, groups, steps, pin,
                                                  lambda share, part=part: plan.at(part, share)))
                plan.done(part)
    return {**summarise(taken), "ahead_cores": pin._asdict()}


def summarise(taken: dict[int, list[Turn]]) -> dict[str, Any]:
    """The document, from every mode's turns."""
    document: dict[str, Any] = {}
    rates = {}
    for staleness, mode in MODES.items():
        steps = sum(turn.steps for turn in taken[staleness])
        seconds = sum(turn.seconds for turn in taken[staleness])
        wait, update = (sum(getattr(turn, name) for turn in taken[staleness]) / steps for name in ("wait", "update"))
        rates[staleness] = steps / seconds
        document[f"GRPO, {mode}"] = {"steps_per_s": steps / seconds, "seconds": seconds / steps, "wait_seconds": wait,
                                     "update_seconds": update}
    whole = document["GRPO, synchronous"]
    document["speedup_one_step_ahead"] = rates[1] / rates[0]
    longer = max(whole["wait_seconds"], whole["seconds"] - whole["wait_seconds"])
    document["speedup_one_step_ahead_attainable"] = whole["seconds"] / longer
    return document


def part_name(staleness: int, number: int) -> str:
    """Name of a turn in a `Plan`."""
    return f"GRPO, {MODES[staleness]}, turn {number + 1}"


def expected(groups: int, steps: int, turns: int) -> dict[str, float]:
    """About how long each turn takes on two quiet cores, seconds."""
    return {part_name(staleness, number): 3 + (WARM + steps) * groups * (0.75 if staleness == 0 else 0.5)
            for number in range(turns) for staleness in MODES}
