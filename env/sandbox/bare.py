"""A backend without any isolation: the positive control of the escape tests, and nothing else.

Promises: the interface, the limits on time, output and single processes, and that its programs are killed with their
process group. An attack that fails in a real box must succeed here, or the attack proves nothing.
Does not cover: everything a sandbox is for. Programs see the whole machine and the supervisor's environment, and can
outlive their box. `/data/` and `/workspace` in a program's text are replaced by temporary folders.
"""

from __future__ import annotations

import atexit
import os
import platform
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import Any

from env.sandbox import layout, packages
from env.sandbox.base import BoxSpec
from env.sandbox.box import WorkerBox
from env.sandbox.process import BOOT, Worker


class BareBackend:
    """Makes boxes that are no boxes."""

    name = "bare"
    tier = "bare"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[WorkerBox, Path] = {}
        atexit.register(self.close)

    def open(self, spec: BoxSpec) -> WorkerBox:
        """See `Backend.open`."""
        folder = Path(tempfile.mkdtemp(prefix="bare-box-"))
        (folder / "data").mkdir()
        (folder / "workspace").mkdir()
        for mount in spec.mounts:
            (folder / "data" / mount.name).symlink_to(mount.host)
        root = str(folder / "workspace")

        def start() -> Worker:
            environment = {**os.environ, **layout.environment(), "PATH": os.environ["PATH"], "HOME": root, "TMPDIR": str(folder)}
            config = {"uid": 0, "stateful": spec.stateful, "listen": spec.listen, "allow": [], "environment": {},
                      "site": (*packages.site_folders(spec.packages), *layout.site_folders()), "isolated": False,
                      "private": [], "spare_processes": 0, "root": root,
                      "data": str(folder / "data"), "shell": "/bin/sh"}
            argv = [layout.interpreter(), "-S", "-s", "-P", "-X", "utf8", "-c", BOOT]
            return Worker.start(argv, config, {}, environment)

        box = WorkerBox(spec, self.tier, start, self._release, data=str(folder / "data"), root=root)
        with self._lock:
            self._folders[box] = folder
        return box

    def describe(self) -> dict[str, Any]:
        """See `Backend.describe`."""
        return {"backend": self.name, "tier": self.tier, "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version, "kernel": platform.release(), "packages": packages.versions(),
                "root": os.geteuid() == 0,
                "uid": str(os.geteuid()), "limits": "rlimits per process, time and output; no isolation at all"}

    def close(self) -> None:
        """See `Backend.close`."""
        for box in list(self._folders):
            box.close()
        atexit.unregister(self.close)

    def _release(self, box: WorkerBox) -> None:
        with self._lock:
            folder = self._folders.pop(box, None)
        if box.worker is not None:
            box.worker.kill()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
