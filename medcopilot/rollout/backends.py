"""Where a sampling run's episodes are played: in this process, or by several on this machine (joblib) or a cluster (Ray).

Promises: every backend plays the same `Worker`; a worker that dies costs the time of what it had not written yet, and the run
goes on with others, three times at most; workers end with the process that started them, whatever ended it. Chunks are taken in
order by whichever worker is free. Rows under a data-use agreement go to a cluster that may be elsewhere only through the exit
`cluster` of `env.agreement`.
Does not cover: machines that do not share the run's folder and the data folder: Ray's nodes need both under the same path.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from env.agreement import check, is_loopback
from env.errors import InfrastructureError, UserError
from medcopilot.rollout.jobs import Job
from medcopilot.rollout.settings import SampleConfig
from medcopilot.rollout.worker import Played, Worker, remote_worker

_ROUNDS = 4
"""Chunks hold this many times a worker's concurrency: the wait for a chunk's last episode is then small beside the rest."""


class WorkerDied(InfrastructureError):
    """A worker's process has ended; what it had not written is owed."""


class Tally(Protocol):
    """Who hears of every trace and says when it is enough."""

    def count(self, played: Played) -> None: ...

    def over(self) -> str: ...


def chunks(jobs: Sequence[Job], config: SampleConfig, workers: int, tally: Tally) -> Iterator[list[Job]]:
    """Jobs in handfuls until the budget is used up; never so large that a worker stays without."""
    size = max(1, min(_ROUNDS * -(-config.concurrency // workers), -(-len(jobs) // workers)))
    for start in range(0, len(jobs), size):
        if tally.over():
            return
        yield list(jobs[start : start + size])


def play_joblib(config: SampleConfig, root: Path | None, jobs: Sequence[Job], workers: int, tally: Tally) -> None:
    """Processes of this machine.

    Raises:
        WorkerDied: one of them has ended.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # the run's absolute path: a worker may have been started in another folder
    config = config.model_copy(update={"out": config.out.absolute()})
    root = root.absolute() if root else None
    parallel = Parallel(n_jobs=workers, backend="loky", return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs + 1")
    work = (delayed(_play_here)(config, root, workers, os.getpid(), chunk) for chunk in chunks(jobs, config, workers, tally))
    try:
        for played in parallel(work):
            for one in played:
                tally.count(one)
    except TerminatedWorkerError as error:
        raise WorkerDied(f"a worker of joblib has ended: {str(error).splitlines()[0]}") from None
    finally:
        # loky keeps its processes for later; ours hold their shards
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


_here: Worker | None = None


def _play_here(config: SampleConfig, root: Path | None, share: int, parent: int, jobs: list[Job]) -> list[Played]:
    """Runs in a process of joblib's, which keeps its worker from chunk to chunk."""
    global _here
    if _here is None:
        end_with(parent)
        _here = remote_worker(config, root, share)
    return played_by(_here, jobs)


def played_by(worker: Worker, jobs: list[Job]) -> list[Played]:
    """Play a chunk; what is to be told of each."""
    played: list[Played] = []
    worker.play(jobs, played.append)
    return played


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends: left behind, it would write beside the run that resumes."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def play_ray(config: SampleConfig, root: Path | None, jobs: Sequence[Job], workers: int, tally: Tally) -> None:
    """Actors of a Ray cluster: the one at `RAY_ADDRESS` if that is set, else one of this machine that ends with the run.

    Raises:
        WorkerDied: one of them has ended.
        UserError: Ray is not installed.
        AgreementError: the cluster may be elsewhere, and a task is under an agreement.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError("backend ray: the package is not installed: run `pip install 'medcopilot[ray]'`, or use --backend "
                        "joblib") from None
    started, cluster = not ray.is_initialized(), os.environ.get("RAY_ADDRESS")
    if not started or leaves_machine(cluster):
        check("cluster", {(job.task.dataset, job.task.licence) for job in jobs})
    if started:
        ray.init(**({} if cluster else {"num_cpus": workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}),
                 log_to_driver=False, logging_level="ERROR")
    config = config.model_copy(update={"out": config.out.absolute()})
    actor = ray.remote(num_cpus=1)(_Actor)
    crew: list[Any] = []
    try:
        crew = [actor.remote(config, root.absolute() if root else None, workers) for _ in range(workers)]
        owed = chunks(jobs, config, workers, tally)
        busy = {member.play.remote(chunk): member for member, chunk in zip(crew, owed, strict=False)}
        while busy:
            (ended,), _ = ray.wait(list(busy), num_returns=1)
            member = busy.pop(ended)
            for one in ray.get(ended):
                tally.count(one)
            if (chunk := next(owed, None)) is not None:
                busy[member.play.remote(chunk)] = member
    except ray.exceptions.RayActorError as error:
        raise WorkerDied(f"a worker of Ray has ended: {str(error).splitlines()[0]}") from None
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    finally:
        for member in crew:
            with suppress(Exception):
                ray.get(member.close.remote(), timeout=10)
            ray.kill(member)
        if started:
            ray.shutdown()


def leaves_machine(cluster: str | None) -> bool:
    """Whether a Ray address may stand for other machines. `auto` may: it takes whatever cluster this machine has joined."""
    return bool(cluster) and cluster != "local" and not is_loopback(f"http://{str(cluster).removeprefix('ray://')}")


class _Actor:
    """A worker, made where Ray put it."""

    def __init__(self, config: SampleConfig, root: Path | None, share: int) -> None:
        self._worker = remote_worker(config, root, share)

    def play(self, jobs: list[Job]) -> list[Played]:
        return played_by(self._worker, jobs)

    def close(self) -> None:
        self._worker.close()
