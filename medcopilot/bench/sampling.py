"""What sampling costs beyond the sandbox: a scripted policy's episodes beside the same programs in bare boxes.

Promises: both arms run the same programs in boxes of the same kind, with the same number at once, in turns and with the same warm
zygotes; executions are those of the episodes' programs in both. Two kinds of box: pooled ones, which only the scripted expert gets,
and which cost the least; and fresh ones, as agents get them, for a policy that repeats its replies. The answers of these datasets
are graded without a box: were any submission graded in one, the document would say how many.
Does not cover: policies with a model, and several workers.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from env.datasets import BuildRequest, Built, get_dataset
from env.gym import Gym
from env.sandbox.base import BoxSpec, Program
from env.task import Task, TaskKey, TaskView
from medcopilot.agent.profiles import limits_for
from medcopilot.policies.base import ChatReply, InstantPolicy, Policy, Sampling
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.rollout.jobs import Job
from medcopilot.rollout.settings import SampleConfig
from medcopilot.rollout.worker import Worker
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace

DATASETS = ("mimic_iii", "medcalcbench")
BOX_THREADS = 4


class Replay(InstantPolicy):
    """Says again what traces say. It is shown no key, so its boxes are an agent's: fresh, and gone with their episode."""

    name = "replay"
    needs_privileged = False
    local = True
    renderer = None

    def __init__(self, traces: Iterable[Trace]) -> None:
        self._replies = {trace.task_id: [turn.reply for turn in trace.turns] for trace in traces}

    def session(self, view: TaskView, privileged: TaskKey | None = None) -> Replayed:
        return Replayed(self._replies[view.id])

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}


class Replayed:
    """One episode."""

    kind: ClassVar[str] = "chat"

    def __init__(self, replies: Sequence[str]) -> None:
        self._replies = iter(replies)

    async def act(self, messages: list[dict[str, str]], sampling: Sampling) -> ChatReply:
        """The next recorded reply."""
        return ChatReply(text=next(self._replies))

    async def close(self) -> None:
        """Nothing is held."""


def measure(tasks: int = 200, rounds: int = 3) -> dict[str, Any]:
    """Executions per second, and their ratios: `sampling_over_bare_sandbox` of the scripted expert, whose boxes are pooled in both
    arms, and `sampling_over_bare_fresh_boxes` of the repeated replies, whose boxes are an agent's."""
    with tempfile.TemporaryDirectory(prefix="medcopilot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # boxes run under another user
        request = BuildRequest(train=tasks, test=0, patients=100)
        builts = {dataset: get_dataset(dataset).build(request, folder) for dataset in DATASETS}
        chosen = [task for built in builts.values() for task in built.iter_tasks("train")]
        pooled, traces = _arms(builts, chosen, ExpertPolicy(seed=0, detours=0.3), folder / "expert", rounds)
        fresh, again = _arms(builts, chosen, Replay(traces.values()), folder / "replay", rounds)
    executions, repeated = (sum(len(_programs(trace)) for trace in found.values()) for found in (traces, again))
    if executions != repeated:
        raise RuntimeError(f"the two policies made {executions} and {repeated} executions: their arms cannot be compared")
    return {
        "sampling, scripted policy": {"executions_per_s": executions / pooled[0]},
        "the same programs in bare boxes": {"executions_per_s": executions / pooled[1]},
        "sampling_over_bare_sandbox": pooled[1] / pooled[0],
        "sampling, repeated replies, fresh boxes": {"executions_per_s": executions / fresh[0]},
        "the same programs in bare fresh boxes": {"executions_per_s": executions / fresh[1]},
        "sampling_over_bare_fresh_boxes": fresh[1] / fresh[0],
        "episodes": len(chosen), "executions": executions,
        "submissions_graded_in_a_box": sum((trace.submission or {}).get("kind") == "program" for trace in traces.values()),
    }


def _arms(builts: dict[str, Built], tasks: Sequence[Task], policy: Policy, out: Path,
          rounds: int) -> tuple[tuple[float, float], dict[str, Trace]]:
    """Median seconds of sampling and of bare boxes, and the traces by task."""
    config = SampleConfig(out=out, policy=policy.name, datasets=DATASETS, concurrency=32, box_threads=BOX_THREADS)
    run = RunFolder.create(config.out, {})
    worker = Worker(config, builts, run.writer(), policy=policy)
    jobs = [Job(task) for task in tasks]
    sampled, bare = [], []
    try:
        worker.play(jobs)  # makes the zygotes, and the programs of the bare arm; not counted
        traces = {trace.task_id: trace for trace in run.traces()}
        for _ in range(rounds):
            bare.append(_seconds(lambda: _bare(worker.gym, tasks, traces, pooled=policy.needs_privileged)))
            sampled.append(_seconds(lambda: worker.play(jobs)))
    finally:
        worker.close()
    return (statistics.median(sampled), statistics.median(bare)), traces


def _seconds(work: Callable[[], object]) -> float:
    clock = time.perf_counter()
    work()
    return time.perf_counter() - clock


def _bare(gym: Gym, tasks: Sequence[Task], traces: dict[str, Trace], *, pooled: bool) -> None:
    def episode(task: Task) -> None:
        spec = BoxSpec(mounts=gym.mounts(task.view), limits=task.view.limits, trusted=pooled, packages=gym.packages(task.view))
        if not (programs := _programs(traces[task.id])):
            return
        box = gym.backend.open(spec)
        for program in programs:
            box.run(program, limits_for(task.view, "full"))
        box.close()

    with ThreadPoolExecutor(BOX_THREADS) as pool:
        list(pool.map(episode, tasks))


def _programs(trace: Trace) -> list[Program]:
    return [Program(source=turn.params["code"], language=turn.params.get("language", "python"))
            for turn in trace.turns if turn.execution is not None and turn.params.get("code")]
