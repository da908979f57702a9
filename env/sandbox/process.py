"""One worker, as the supervisor sees it: requests in, `Execution`s out.

Promises: whatever the box says or does not say, `run` returns within its limits plus a margin; only a well-formed reply to
this very request counts, everything else is `WireError`.
Does not cover: starting again after that (`env.sandbox.box`).
"""

from __future__ import annotations

import contextlib
import marshal
import math
import os
import secrets
import signal
import socket
import time
from functools import cache
from importlib import resources
from typing import Any, Protocol

from env.sandbox import wire
from env.sandbox.base import Execution, Program, Status
from env.sandbox.cgroup import OVERHEAD, Group
from env.sandbox.gateway import Gateway
from env.sandbox.plain import load_plain
from env.sandbox.spawn import spawn
from env.sandbox.wire import Reply, Wire, WireError
from env.task import Limits

BOOT = ("import posix,marshal\n"
        "def r(n):\n b=b''\n while len(b)<n:\n  c=posix.read(3,n-len(b))\n  if not c:posix._exit(0)\n  b+=c\n return b\n"
        "m=marshal.loads(r(int.from_bytes(r(8),'little')))\n"
        "g={'__name__':m['entry']}\nexec(marshal.loads(m['code'][m['entry']]),g)\ng['serve'](m['code'],m['config'])\n")
"""What a fresh interpreter runs: it reads the harness from descriptor 3 and enters it."""
START_SECONDS = 60.0
MARGIN_SECONDS = 30.0
"""How late an answer may be on a loaded machine before the box counts as dead."""
VALUE_CAP = 8 << 20
SPARE_PROCESSES = 16
"""In a box's group beside the program's own: the worker, and whatever has ended and is not reaped yet."""
_STATES: tuple[Status, ...] = ("ok", "timeout_soft", "timeout_hard", "oom", "killed", "output_limit")
_MIB = 1 << 20


@cache
def harness_code() -> dict[str, bytes]:
    """The harness files, compiled and marshalled. The box's interpreter is the one that runs us."""
    code = {}
    for name in ("worker", "zygote", "watch", "program", "query", "encode"):
        source = resources.files("env.sandbox.harness").joinpath(f"{name}.py").read_text(encoding="utf-8")
        code[name] = marshal.dumps(compile(source, f"<box {name}>", "exec", dont_inherit=True, optimize=2))
    return code


class Started:
    """A worker that we started ourselves, without a box around it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    @property
    def pid(self) -> int:
        """As we see it."""
        return self._pid

    def kill(self) -> None:
        """SIGKILL."""
        _kill(self._pid)

    def wait(self) -> None:
        """Until it is dead and gone."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def orphaned(self) -> bool:
        """Never: nothing of ours stands above it."""
        return False

    def inner(self) -> int | None:
        """The same process."""
        return self._pid


class Wrapped(Started):
    """A bubblewrap process that we started, and the worker in it."""

    def kill(self) -> None:
        """SIGKILL to the worker, which takes its namespace along and is what bubblewrap waits for.

        Never to bubblewrap: one that dies before it has let its child go on leaves it waiting for ever. A worker that is not there
        yet will find that we have hung up, and end.
        """
        inner = self.inner()
        if inner is not None:
            _kill(inner)

    def wait(self) -> None:
        """Until all of it is dead and gone."""
        deadline = time.monotonic() + START_SECONDS
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    _kill(self._pid)
                self.kill()
                time.sleep(0.0005)

    def inner(self) -> int | None:
        """The worker; None when it has not been started, or the kernel does not tell."""
        try:
            with open(f"/proc/{self._pid}/task/{self._pid}/children", encoding="ascii") as file:
                return int(file.read().split()[0])
        except (OSError, IndexError):
            return None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Process(Protocol):
    """What a worker runs in."""

    @property
    def pid(self) -> int:
        """As we see it."""

    def kill(self) -> None:
        """SIGKILL."""

    def wait(self) -> None:
        """Until it is dead and gone."""

    def orphaned(self) -> bool:
        """True when it died because what started it did."""

    def inner(self) -> int | None:
        """The pid, as we see it, of the worker itself."""


def launch(argv: list[str], entry: str, config: dict[str, Any], descriptors: dict[int, int],
           environment: dict[str, str]) -> tuple[socket.socket, Process]:
    """Start an interpreter with `BOOT` and send it the harness.

    Args:
        entry: the harness file whose `serve(code, config)` it enters.
        descriptors: more of ours that the process gets (closed here afterwards, but for 2).

    Returns:
        our end of its control socket, and the process. That it did not start is seen when its first answer is missing.

    Raises:
        OSError: `argv[0]` cannot be started.
    """
    ours, theirs = socket.socketpair()
    null = os.open(os.devnull, os.O_RDWR)
    life = os.pipe()  # bubblewrap's outer process keeps the write end as its stdout: when it dies, those inside see it
    try:
        wanted = {0: null, 1: life[1] if config["isolated"] else null, 2: null, 3: theirs.fileno(), 6: life[0], **descriptors}
        process = (Wrapped if config["isolated"] else Started)(spawn(argv, wanted, environment))
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        for fd in (null, *life):
            os.close(fd)
        for number, fd in descriptors.items():
            if number > 2:
                os.close(fd)
    with contextlib.suppress(WireError):
        Wire(ours).send_boot(boot_message(entry, config))
    return ours, process


def boot_message(entry: str, config: dict[str, Any]) -> bytes:
    """What `BOOT` reads: the harness, the file of it to enter, and what that is told."""
    return marshal.dumps({"entry": entry, "code": harness_code(), "config": config})


class Worker:
    """A worker process and the socket to it."""

    def __init__(self, control: socket.socket, process: Process, config: dict[str, Any], group: Group | None = None) -> None:
        """Take over a started one.

        Args:
            config: what the worker was given; `nonce` is the number of its first message.
            group: it is put into before it runs anything, and removed with it.
        """
        self._wire = Wire(control)
        self._process = process
        self._ready = False
        self._owner = os.getpid()
        self._config = config
        self._group = group
        self._kills = 0
        self.dead = False
        self._gateway: Gateway | None = None
        self.listener: socket.socket | None = None
        """Once it is ready, where its configuration names a port."""

    @classmethod
    def start(cls, argv: list[str], config: dict[str, Any], descriptors: dict[int, int], environment: dict[str, str],
              group: Group | None = None) -> Worker:
        """Start one of its own; see `launch`."""
        config = {**config, "nonce": secrets.randbits(62)}
        return cls(*launch(argv, "worker", config, descriptors, environment), config, group)

    @property
    def pid(self) -> int:
        """Of the box's outermost process."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Until the worker has dropped its privileges and said so.

        Raises:
            WireError: it did not start.
        """
        if not self._ready:
            if self._config["listen"]:
                self.listener = self._wire.receive_socket(START_SECONDS)
                if self._config["allow"]:
                    self._gateway = Gateway(self.listener, self._config["allow"])
            self._wire.receive(wire.READY, self._config["nonce"], START_SECONDS, 0)
            self._ready = True
            inner = self._process.inner() if self._group is not None else None
            if self._group is not None and inner is not None:
                with contextlib.suppress(OSError):  # it has just died: the first request will tell
                    self._group.add(inner)

    def orphaned(self) -> bool:
        """True when it died through something of ours, and not through what it ran."""
        return self._process.orphaned()

    def listens(self) -> bool:
        """True while an idle worker is there and has said nothing unasked."""
        return self._wire.quiet()

    def run(self, program: Program, limits: Limits, databases: list[str], want_value: bool) -> Execution:
        """Run one program.

        Raises:
            WireError: the box died or broke the protocol on the way.
        """
        self.wait_ready()
        if self._group is not None:
            self._group.limit((limits.memory_mb + limits.file_mb) * _MIB + OVERHEAD, limits.processes + SPARE_PROCESSES)
        grace = min(1.0, 0.05 + 0.25 * limits.exec_seconds)
        rlimits = _rlimits(limits)
        rlimits["RLIMIT_NPROC"] += self._config["spare_processes"]
        request = {"op": "run", "language": program.language, "source": _clean(program.source), "want_value": want_value,
                   "database": _clean(program.database), "databases": databases, "keep": limits.output_bytes,
                   "seconds": limits.exec_seconds, "grace": grace, "memory": limits.memory_mb * _MIB,
                   "processes": limits.processes, "rlimits": rlimits, "root": self._config["root"],
                   "data": self._config["data"]}
        seconds = limits.exec_seconds + grace + MARGIN_SECONDS
        reply = self._wire.request(request, wire.RESULT, seconds, 2 * limits.output_bytes + 2 * VALUE_CAP + 4096)
        run = _execution(reply, limits.output_bytes, want_value)
        if run.status == "killed" and self.out_of_memory():
            return run.model_copy(update={"status": "oom", "detail": "the box ran out of memory"})
        return run

    def out_of_memory(self) -> bool:
        """True when the kernel has killed something in the box for memory since we were last asked."""
        before, self._kills = self._kills, self._group.kills() if self._group is not None else 0
        return self._kills > before

    def files(self, names: list[str], max_bytes: int) -> dict[str, bytes]:
        """Regular files below the workspace; see `Box.read_files`.

        Raises:
            WireError: as above.
        """
        self.wait_ready()
        request = {"op": "files", "names": names, "max_bytes": max_bytes, "root": self._config["root"]}
        reply = self._wire.request(request, wire.FILES, MARGIN_SECONDS, len(names) * (max_bytes + 16))
        data, found, position = reply.payloads[0], {}, 0
        while position < len(data):
            index, size = (int.from_bytes(data[position + at:position + at + 8], "little") for at in (0, 8))
            if index >= len(names) or size > max_bytes or position + 16 + size > len(data):
                raise WireError("the box sent something that is not a list of files")
            found[names[index]] = data[position + 16:position + 16 + size]
            position += 16 + size
        return found

    def wipe(self) -> None:
        """Kill leftovers and empty the private folders.

        Raises:
            WireError: as above.
        """
        self.wait_ready()
        self._wire.request({"op": "wipe"}, wire.WIPED, MARGIN_SECONDS, 0)

    def kill(self) -> None:
        """Kill the box and wait until nothing of it is left. Idempotent."""
        if self.dead:
            return
        self.dead = True
        if self._owner == os.getpid():  # a fork of the supervisor only drops its copy of the socket
            self._process.kill()
            self._wire.hang_up()
            self._process.wait()
            if self._group is not None:
                self._group.remove()
        if self._gateway is not None and self._owner == os.getpid():  # a fork must not end what it shares
            self._gateway.close()
        elif self.listener is not None:
            self.listener.close()
        self._wire.close()


def _clean(text: str) -> str:
    """Marshal and compile want text without lone surrogates."""
    return text.encode("utf-8", "replace").decode()


@cache
def _cores() -> int:
    return os.cpu_count() or 1


def _rlimits(limits: Limits) -> dict[str, int]:
    """Limits of single processes; those of the whole box are watched by the worker.

    RLIMIT_DATA bounds what a process may really write to; the address space gets 4 GiB on top, because libraries reserve
    far more than they use.
    """
    memory = limits.memory_mb * _MIB
    return {"RLIMIT_DATA": memory, "RLIMIT_AS": memory + (4 << 30), "RLIMIT_FSIZE": limits.file_mb * _MIB,
            "RLIMIT_CPU": math.ceil(limits.exec_seconds * _cores()) + 5, "RLIMIT_NOFILE": 512,
            "RLIMIT_NPROC": limits.processes + 1, "RLIMIT_CORE": 0}


def _execution(reply: Reply, keep: int, want_value: bool) -> Execution:
    state, exit_code, micros, cpu, cut_out, cut_err = reply.numbers
    out, err, tagged, detail = reply.payloads
    if not 0 <= state < len(_STATES) or micros < 0 or cpu < 0 or not -64 <= exit_code <= 255:
        raise WireError("the box sent a result that makes no sense")
    status = _STATES[state]
    note = detail.decode("utf-8", "replace")[:500]
    if status == "ok" and exit_code:
        status, why = _ending(exit_code, tagged)
        note = "; ".join(filter(None, (why, note)))
    fields: dict[str, Any] = {}
    if want_value and status == "ok" and tagged:
        try:
            fields = _value(tagged)
        except ValueError as error:
            status, note = "died", f"the value channel was tampered with: {error}"
    return Execution(status=status, exit_code=exit_code, stdout=_text(out, cut_out, keep), stderr=_text(err, cut_err, keep),
                     truncated=bool(cut_out or cut_err), seconds=micros / 1e6, cpu_seconds=cpu / 1e6, detail=note, **fields)


def _ending(exit_code: int, tagged: bytes) -> tuple[Status, str]:
    if exit_code > 0:
        return ("oom", "out of memory") if tagged[:1] == b"M" else ("error", "")
    name = signal.Signals(-exit_code).name if -exit_code in signal.valid_signals() else str(-exit_code)
    if -exit_code == signal.SIGXCPU:
        return "timeout_hard", "the processor time was used up"
    return "killed", f"ended by {name}"


def _value(tagged: bytes) -> dict[str, Any]:
    if tagged[:1] == b"U":
        return {"unsupported": tagged[1:201].decode("ascii", "replace") or "unknown"}
    if tagged[:1] != b"V":
        raise ValueError("no known tag")
    return {"has_value": True, "value": load_plain(tagged[1:])}


def _text(data: bytes, cut: int, keep: int) -> str:
    if not cut:
        return data.decode("utf-8", "replace")
    half = max(keep // 2, 1)
    head, tail = data[:half].decode("utf-8", "replace"), data[half:].decode("utf-8", "replace")
    return f"{head}\n[... {cut} bytes cut ...]\n{tail}"
