"""soak.py BACKEND EPISODES EACH: many short episodes in a process of its own, and what it holds early on and at the end.

Prints {"before": [COUNTS, ...], "after": [COUNTS, ...], "left": COUNTS}, of itself and of its zygotes. Alone in its process, so
that memory is the backend's: in one that ran other tests first, freed pages come back by the megabyte and would pass for a leak.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from processes import left_behind, wait_for

from env.sandbox import open_backend
from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Program
from env.sandbox.zygote import ZygoteBackend
from env.task import Limits

WARM = 200  # episodes after which nothing may grow any more


def groups(supervisor: int) -> list[str]:
    """Names of the control groups below the one that a supervisor made for itself."""
    return [name for folder, names, _ in os.walk("/sys/fs/cgroup") if f"/medcopilot-{supervisor}-" in folder for name in names]


def mounts(pid: int | str = "self") -> int:
    """Mounts that a process sees, without those of containers."""
    return sum("docker" not in line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines())


def counts(pid: int) -> dict[str, int]:
    """Descriptors, threads, mounts, memory in KiB and control groups of a process."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": int(status["Threads"]), "mounts": mounts(pid),
            "kib": int(status["VmRSS"].split()[0]), "groups": len(groups(pid))}


def _held(backend: WorkerBackend) -> Iterator[dict[str, int]]:
    yield counts(os.getpid())
    if isinstance(backend, ZygoteBackend):
        yield from (counts(one.pid) for one in backend.zygotes.living.values())


def main(name: str, episodes: int, each: int) -> None:
    """Open, use and close boxes, eight at a time."""
    there = left_behind("posix,marshal")  # boxes of others on this machine
    backend = open_backend(name)
    assert isinstance(backend, WorkerBackend)

    def episode(number: int) -> None:
        box = backend.open(BoxSpec(limits=Limits(exec_seconds=20.0)))
        for turn in range(each):
            run = box.run(Program(source=f"open('kept', 'a').write('x')\nanswer = {number} + {turn}"), want_value=True)
            assert run.value == number + turn, run
        box.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(episode, range(WARM)))
        before = list(_held(backend))
        list(pool.map(episode, range(WARM, episodes)))
        after = list(_held(backend))
    backend.close()
    wait_for(lambda: not left_behind("posix,marshal") - there)
    left = {"processes": len(left_behind("posix,marshal") - there), "groups": len(groups(os.getpid()))}
    print(json.dumps({"before": before, "after": after, "left": left}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
