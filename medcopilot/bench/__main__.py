"""`make bench`: how fast boxes, grading, episodes, packed training batches and the rollout engine are on this machine.

Promises: medians and 95th percentiles of wall-clock seconds over repeated runs, on small seeded twins; the models that are trained
a few steps are thrown away; at the end the ratios that have an aim, beside it.
Does not cover: a real policy's generation (the report of a run splits its own time) and many boxes at once beyond `--threads`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from env.actions import CodeExecution, CodeParams, Submit, SubmitParams
from env.datasets import get_dataset
from env.errors import UserError
from env.gym import Gym
from env.sandbox import open_backend
from env.task import Submission, Task
from medcopilot.bench import packing, rollout, sandbox
from medcopilot.bench.show import show_aims, tell
from medcopilot.bench.timing import seconds_of
from medcopilot.steps import requests


def grading(gym: Gym, tasks: Sequence[Task], threads: int) -> dict[str, dict[str, float]]:
    """Gold programs per second: in boxes of their own as an agent's are, and in pooled boxes as our own are."""
    found = {}
    for name, trusted in (("untrusted", False), ("trusted", True)):
        def grade(task: Task, trusted: bool = trusted) -> None:
            gym.grade(task, _gold(task), trusted=trusted)

        grade(tasks[0])
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(grade, tasks))
        found[f"gold programs graded, {name}"] = {"per_second": len(tasks) / (time.perf_counter() - started)}
    return found


def episodes(gym: Gym, tasks: Sequence[Task], threads: int) -> dict[str, dict[str, float]]:
    """Whole episodes per second: one execution, one submission, grading."""
    def play(task: Task) -> None:
        episode = gym.episode(task)
        try:
            gold = _gold(task)
            episode.step(CodeExecution(action="code_execution", params=CodeParams(code=gold.program, language=gold.language)))
            episode.step(Submit(action="submit", params=SubmitParams(program=gold.program, language=gold.language)))
        finally:
            episode.close()
        gym.grade(task, episode.submission)

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(play, tasks))
    return {"episodes with one execution, graded": {"per_second": len(tasks) / (time.perf_counter() - started)}}


def _gold(task: Task) -> Submission:
    return Submission(kind="program", program=task.key.gold, language=task.key.gold_language)


def measure(repeats: int, tasks: int, threads: int) -> dict[str, Any]:
    """Everything, as one document."""
    script = [sys.executable, "-m", "medcopilot.cli.main", "--help"]
    document: dict[str, Any] = {"medcopilot --help": seconds_of(
        lambda: subprocess.run(script, check=True, capture_output=True), 5)}
    document.update(sandbox.measure(repeats))
    backend = open_backend("auto")
    try:
        with tempfile.TemporaryDirectory(prefix="medcopilot-bench-") as folder:
            Path(folder).chmod(0o755)  # boxes run under another user
            for name, request in requests(train=tasks, test=0, patients=100).items():
                built = get_dataset(name).build(request, Path(folder))
                gym = Gym(backend, [built])
                chosen = [task for task in built.tasks("train") if task.key.gold and not task.key.args.get("impossible")]
                for what, row in {**grading(gym, chosen, threads), **episodes(gym, chosen, threads)}.items():
                    document[f"{name}: {what}"] = row
    finally:
        backend.close()
    document.update(packing.measure())
    document.update(rollout.measure(say=lambda line: print(line, file=sys.stderr, flush=True)))
    return document


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `make bench`."""
    parser = argparse.ArgumentParser(prog="python -m medcopilot.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--tasks", type=int, default=100, help="tasks per dataset")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the measurements here")
    args = parser.parse_args(argv)
    try:
        document = measure(args.repeats, args.tasks, args.threads)
    except UserError as error:
        print(f"medcopilot: {error}", file=sys.stderr)
        return 2
    tell(document, args.json)
    show_aims(document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
