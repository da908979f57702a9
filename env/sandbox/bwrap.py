"""The bubblewrap backend: one bubblewrap process per box, hosting a worker that forks once per run.

Promises, on top of `env.sandbox.base`: new pid, network, ipc, uts and (where there are) cgroup namespaces; a system-call
filter; no capabilities; no new privileges; a uid that is nobody's. Started as root, bubblewrap makes the mounts and the
worker then leaves uid 0 for a uid of the box's own, so host uid 0 never exists inside; started by an ordinary user, a new
user namespace does the same job. Boxes die with the supervisor, even when it is killed.
Does not cover: kernel buffers (pipes, sockets) where no control group can be made (`env.sandbox.cgroup`).
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from itertools import count
from typing import Any

from env.errors import BoxDied, SandboxUnavailable
from env.sandbox import layout, packages
from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Program
from env.sandbox.cgroup import Cgroups, Group
from env.sandbox.process import BOOT, Worker
from env.sandbox.spawn import memory_file
from env.sandbox.wire import WireError

UID_BASE = 1_800_000_000
"""Root mode: uids from here on, far above those of people and containers."""


class BwrapBackend(WorkerBackend):
    """Makes boxes with bubblewrap."""

    name = "bwrap"
    tier = "bwrap"

    def __init__(self, *, mode: layout.Mode | None = None) -> None:
        """Find out what works here, with one trial box.

        Args:
            mode: `root` or `user`; by default root mode for real root, user mode for everybody else.

        Raises:
            SandboxUnavailable: no bubblewrap, or the kernel does not let it work; the message holds the cure.
        """
        found = shutil.which("bwrap")
        if found is None:
            raise SandboxUnavailable("bubblewrap is not installed: run `apt-get install bubblewrap` (or ask the administrator)")
        self._bwrap = found
        self.mode: layout.Mode = mode or ("root" if os.geteuid() == 0 and _maps_uid(UID_BASE) else "user")
        self._static = layout.static_arguments(self.mode)
        # Before Linux 5.14 the kernel counts a user's processes across namespaces; the watch on the box remains.
        self._spare = 4096 if self.mode == "user" and _kernel() < (5, 14) else 0
        self._uids = count(os.getpid() % 4096 << 16)
        super().__init__()
        self._cgroups = Cgroups.find()
        try:
            self._try_out()
        except BaseException:
            self.close()
            raise

    def describe(self) -> dict[str, Any]:
        """See `Backend.describe`."""
        version = subprocess.run([self._bwrap, "--version"], capture_output=True, text=True, check=False).stdout.split()
        return {"backend": self.name, "tier": self.tier, "bubblewrap": version[-1] if version else "unknown",
                "python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "kernel": platform.release(),
                "packages": packages.versions(), "root": os.geteuid() == 0, "mode": self.mode, "seccomp": self._filter is not None,
                "uid": f"{UID_BASE}+n, one per box" if self.mode == "root" else f"{os.geteuid()} as 65534",
                "cgroup": f"version {self._cgroups.version}" if self._cgroups else "none is writable here",
                "limits": "rlimits per process; memory and processes of the box watched every 50 ms"
                          + (" and bounded by its control group" if self._cgroups else "")}

    def _finish(self) -> None:
        if self._cgroups is not None and self._pid == os.getpid():
            self._cgroups.close()
            self._cgroups = None

    def _starter(self, spec: BoxSpec) -> Callable[[], Worker]:
        arguments = layout.box_arguments(spec, self.mode)
        return lambda: self._start(spec, arguments)

    def _start(self, spec: BoxSpec, arguments: list[str], log: int | None = None) -> Worker:
        """Start a box of its own bubblewrap."""
        argv, descriptors = self._command([*self._static, *arguments], self._filter_of(spec), log)
        try:
            return Worker.start(argv, self._worker_config(spec), descriptors, self._environment, self._group())
        except OSError as error:
            raise BoxDied(f"a box could not be started: {error}") from None

    def _group(self) -> Group | None:
        """A control group for one box."""
        if self._cgroups is None or self._pid != os.getpid():  # the janitor knows the groups of the original supervisor
            return None
        try:
            return self._cgroups.group()
        except OSError as error:
            raise BoxDied(f"a box could not get a control group: {error}") from None

    def _command(self, arguments: list[str], filter_program: bytes | None,
                 log: int | None = None) -> tuple[list[str], dict[int, int]]:
        """Command line of a bubblewrapped interpreter, and the descriptors it needs. Bubblewrap's arguments go through one of them,
        where the box cannot read them."""
        descriptors = {}
        if filter_program is not None:
            descriptors[5] = memory_file(filter_program)
            arguments = [*arguments, "--seccomp", "5"]
        descriptors[4] = memory_file(b"".join(text.encode() + b"\0" for text in arguments))
        if log is not None:
            descriptors[2] = log
        return [self._bwrap, "--args", "4", "--", self._python, "-S", "-s", "-P", "-X", "utf8", "-c", BOOT], descriptors

    def _worker_config(self, spec: BoxSpec) -> dict[str, Any]:
        uid = UID_BASE + next(self._uids) % (1 << 28) if self.mode == "root" else 0
        return self._config(spec, uid=uid, spare_processes=self._spare)

    def _try_out(self) -> None:
        """One box that must work, else the reason and its cure."""
        log = os.memfd_create("bwrap-log", os.MFD_CLOEXEC)
        try:
            worker = self._start(BoxSpec(), layout.box_arguments(BoxSpec(), self.mode), log)
            try:
                run = worker.run(Program(source="answer = 1"), BoxSpec().limits, [], True)
            except WireError:
                run = None
            finally:
                worker.kill()
            if run is None or run.value != 1:
                os.lseek(log, 0, os.SEEK_SET)
                said = os.read(log, 2000).decode("utf-8", "replace").strip() or (run.stderr.strip() if run else "")
                raise SandboxUnavailable(_cure(said))
        except BoxDied as error:
            raise SandboxUnavailable(f"{error}: run `apt-get install --reinstall bubblewrap`") from None
        finally:
            os.close(log)


def _kernel() -> tuple[int, int]:
    numbers = platform.release().split(".")
    try:
        return int(numbers[0]), int(numbers[1])
    except (ValueError, IndexError):
        return 0, 0


def _maps_uid(uid: int) -> bool:
    """True when this uid exists in our user namespace (in a rootless container it may not)."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as handle:
            return any(int(first) <= uid < int(first) + int(length)
                       for first, _, length in (line.split() for line in handle))
    except (OSError, ValueError):
        return False


def _setting(path: str) -> str:
    try:
        with open(path, encoding="ascii") as handle:
            return handle.read().strip()
    except OSError:
        return ""


def _cure(said: str) -> str:
    """One sentence: what failed and what to do."""
    reason = said.splitlines()[-1] if said else "no message"
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return ("AppArmor denies user namespaces to bubblewrap here: run `sysctl -w "
                f"kernel.apparmor_restrict_unprivileged_userns=0` as root ({reason})")
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return ("the kernel denies user namespaces to ordinary users: run `sysctl -w kernel.unprivileged_userns_clone=1` "
                f"as root ({reason})")
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return f"user namespaces are switched off: run `sysctl -w user.max_user_namespaces=15000` as root ({reason})"
    if any(word in said for word in ("ermission", "not permitted", "RTM_NEWADDR")):
        return ("namespaces are denied here, as in a container without the right to make them: start the container as an ordinary "
                "user (`--user 1000`) with `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` and, where "
                f"there is AppArmor, `--security-opt apparmor=unconfined` ({reason})")
    return f"bubblewrap does not work here: try `bwrap --ro-bind / / true` to see why ({reason})"
