"""Starting a box's process.

Promises: processes are started by one permanent thread, because the kernel's parent-death signal (bubblewrap's
`--die-with-parent`) follows the starting *thread*; a box opened from a short-lived pool thread must not die with it. The
child gets exactly the descriptors and the environment given.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future

_Job = tuple[list[str], dict[int, int], dict[str, str], "Future[int]"]
_lock = threading.Lock()
_state: dict[str, object] = {"pid": 0}
_jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()


def spawn(argv: list[str], descriptors: Mapping[int, int], environment: Mapping[str, str]) -> int:
    """Start `argv` and return its pid.

    Args:
        descriptors: number in the child -> our descriptor; all others are closed.

    Raises:
        OSError: the program cannot be started.
    """
    global _jobs
    with _lock:
        if _state["pid"] != os.getpid():  # first use, or we are a fork: threads do not survive one
            _jobs = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(_jobs,), name="box-spawner", daemon=True).start()
            _state["pid"] = os.getpid()
    future: Future[int] = Future()
    _jobs.put((argv, dict(descriptors), dict(environment), future))
    return future.result()


def _serve(jobs: queue.SimpleQueue[_Job]) -> None:
    while True:
        argv, descriptors, environment, future = jobs.get()
        try:
            future.set_result(_start(argv, descriptors, environment))
        except BaseException as error:
            future.set_exception(error)


def _start(argv: list[str], descriptors: dict[int, int], environment: dict[str, str]) -> int:
    copies: list[int] = []
    try:
        actions = []
        for target, fd in sorted(descriptors.items()):
            copies.append(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64))  # out of the way of the targets
            actions.append((os.POSIX_SPAWN_DUP2, copies[-1], target))
        return os.posix_spawn(argv[0], argv, environment, file_actions=actions)
    finally:
        for copy in copies:
            os.close(copy)


def memory_file(data: bytes) -> int:
    """A descriptor at the start of an anonymous file with this content."""
    fd = os.memfd_create("box", os.MFD_CLOEXEC)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
