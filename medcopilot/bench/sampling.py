"""What sampling costs beyond the sandbox: a scripted policy's episodes beside the same programs in bare boxes.

Promises: both arms run the same programs in boxes of the same kind, with the same number at once, in turns; nothing of the policy
is computed. Does not cover: policies with a model, and several workers.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from env.datasets import BuildRequest, get_dataset
from env.gym import Gym
from env.sandbox.base import BoxSpec, Program
from env.task import Task
from medcopilot.agent.profiles import limits_for
from medcopilot.policies.expert import ExpertPolicy
from medcopilot.rollout.jobs import Job
from medcopilot.rollout.settings import SampleConfig
from medcopilot.rollout.worker import Worker
from medcopilot.runs import RunFolder
from medcopilot.trace import Trace

DATASETS = ("mimic_iii", "medcalcbench")
BOX_THREADS = 4


def measure(tasks: int = 200, rounds: int = 3) -> dict[str, Any]:
    """`sampling_over_bare_sandbox`: executions per second of sampling, divided by those of bare boxes."""
    with tempfile.TemporaryDirectory(prefix="medcopilot-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # boxes run under another user
        request = BuildRequest(train=tasks, test=0, patients=100)
        builts = {dataset: get_dataset(dataset).build(request, folder) for dataset in DATASETS}
        chosen = [task for built in builts.values() for task in built.iter_tasks("train")]
        jobs = [Job(task, sample=0, grade=True) for task in chosen]
        config = SampleConfig(out=folder / "run", policy="expert", datasets=DATASETS, concurrency=32, box_threads=BOX_THREADS)
        run = RunFolder.create(config.out, {})
        sampled, bare = [], []
        for turn in range(rounds + 1):  # the first is not counted
            worker = Worker(config, builts, run.writer(f"round-{turn}"), policy=ExpertPolicy(seed=0, detours=0.3))
            try:
                clock = time.perf_counter()
                worker.play(jobs)
                sampled.append(time.perf_counter() - clock)
                traces = {trace.task_id: trace for trace in run.traces()}
                clock = time.perf_counter()
                _bare(worker.gym, chosen, traces)
                bare.append(time.perf_counter() - clock)
            finally:
                worker.close()
    executions = sum(len(_programs(trace)) for trace in traces.values())
    return {
        "sampling, scripted policy": {"executions_per_s": executions / statistics.median(sampled[1:])},
        "the same programs in bare boxes": {"executions_per_s": executions / statistics.median(bare[1:])},
        "sampling_over_bare_sandbox": statistics.median(bare[1:]) / statistics.median(sampled[1:]),
    }


def _bare(gym: Gym, tasks: Sequence[Task], traces: dict[str, Trace]) -> None:
    def episode(task: Task) -> None:
        spec = BoxSpec(mounts=gym.mounts(task.view), limits=task.view.limits, trusted=True, packages=gym.packages(task.view))
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
