"""What all backends share that put a worker into each box: opening, pooling of trusted boxes, closing.

Promises: every box that was opened is closed with its backend, and at the end of the process; a box of our own programs is wiped
and handed on, one of an agent's never.
Does not cover: how a worker is started (`bwrap`, `zygote`, `docker`).
"""

from __future__ import annotations

import atexit
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from env.sandbox import gateway, layout, packages
from env.sandbox.base import BoxSpec, Program
from env.sandbox.box import WorkerBox
from env.sandbox.process import Worker
from env.sandbox.seccomp import filter_program
from env.sandbox.wire import WireError

KEEP_TRUSTED = 8
PoolKey = tuple[tuple[tuple[str, str], ...], int, int, tuple[str, ...], tuple[str, ...]]


def pool_key(spec: BoxSpec) -> PoolKey:
    """What two specs must share for one's box to serve the other, too."""
    mounts = tuple((mount.name, str(mount.host)) for mount in spec.mounts)
    return mounts, spec.limits.file_mb, spec.listen, spec.allow, spec.packages


class WorkerBackend(ABC):
    """Makes boxes with workers in them."""

    name = ""
    tier = ""

    def __init__(self) -> None:
        self._filter = filter_program()
        self._loopback_filter = filter_program(loopback=True)
        self._python = layout.seen_as(layout.interpreter())
        self._environment = layout.environment()
        self._site = tuple(map(layout.seen_as, layout.site_folders()))
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._open: set[WorkerBox] = set()
        self._idle: OrderedDict[Worker, PoolKey] = OrderedDict()
        self._closed = False
        atexit.register(self.close)

    def open(self, spec: BoxSpec) -> WorkerBox:
        """See `Backend.open`. The start goes on in the background; the first run waits for it.

        Raises:
            UserError: a file of the spec cannot be shown to a box, or a package set of its is not installed.
        """
        if self._closed:
            raise RuntimeError("the backend is closed")
        packages.site_folders(spec.packages)  # refuses what is not installed
        fresh = self._starter(spec)
        first = self._take_idle(spec) if spec.trusted else None

        def start() -> Worker:
            nonlocal first
            taken, first = first, None
            return taken or fresh()

        box = WorkerBox(spec, self.tier, start, self._release, suit=None if spec.trusted else self._suitor(spec))
        with self._lock:
            self._open.add(box)
        return box

    def close(self) -> None:
        """See `Backend.close`. Idempotent."""
        self._closed = True
        with self._lock:
            boxes, idle = list(self._open), list(self._idle)
            self._idle.clear()
        for box in boxes:
            box.close()
        for worker in idle:
            worker.kill()
        self._finish()
        atexit.unregister(self.close)

    def _filter_of(self, spec: BoxSpec) -> bytes | None:
        return self._loopback_filter if spec.port else self._filter

    def _config(self, spec: BoxSpec, *, uid: int = 0, spare_processes: int = 0) -> dict[str, Any]:
        """What a worker is told. `uid`: the one that it takes; 0: it stays who it is."""
        proxy = gateway.environment(spec.allow) if spec.allow else {}
        site = (*map(layout.seen_as, packages.site_folders(spec.packages)), *self._site)
        return {"uid": uid, "stateful": spec.stateful, "listen": spec.port, "allow": list(spec.allow),
                "site": site, "isolated": True,
                "environment": {**self._environment, "PYTHONPATH": ":".join(site), **proxy},
                "spare_processes": spare_processes, "private": layout.private_folders(), "root": "/workspace", "data": "/data",
                "shell": "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"}

    @abstractmethod
    def _starter(self, spec: BoxSpec) -> Callable[[], Worker]:
        """What starts a worker for this spec.

        Raises:
            UserError: a file of the spec cannot be shown to a box.
        """

    def _suitor(self, spec: BoxSpec) -> Callable[[Program], Worker | None] | None:
        """What gives a worker suited to a box's first program; None: all workers are the same."""
        return None

    def _finish(self) -> None:  # nothing, by default
        """End what is left when all boxes are closed."""

    def _release(self, box: WorkerBox) -> None:
        with self._lock:
            self._open.discard(box)
        worker = box.worker
        if worker is None:
            return
        if box.spec.trusted and not self._closed and not worker.dead:
            try:
                worker.wipe()
            except WireError:
                worker.kill()
                return
            with self._lock:
                self._idle[worker] = pool_key(box.spec)
                worker = self._idle.popitem(last=False)[0] if len(self._idle) > KEEP_TRUSTED else None
        if worker is not None:
            worker.kill()

    def _take_idle(self, spec: BoxSpec) -> Worker | None:
        with self._lock:
            for worker in reversed(self._idle):
                if self._idle[worker] == pool_key(spec):
                    del self._idle[worker]
                    return worker
        return None
