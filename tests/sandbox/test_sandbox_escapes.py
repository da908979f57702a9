"""Escapes: what the box must not let through, each with the bare backend as positive control where one makes sense."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import alive, left_behind, running, wait_for

from env.errors import BoxDied, SandboxUnavailable, UserError
from env.sandbox import open_backend
from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Execution, Mount, Program
from env.sandbox.box import WorkerBox
from env.sandbox.bwrap import BwrapBackend
from env.sandbox.layout import hidden_folders
from env.sandbox.zygote import ZygoteBackend
from env.task import Limits

QUICK = Limits(exec_seconds=10.0, memory_mb=256, processes=24, file_mb=16, output_bytes=4000)
REPOSITORY = Path(__file__).resolve().parents[2]
SEARCH = """
import os
needle = {needle!r}.encode()
answer = []
def look(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        data = os.read(fd, 1 << 20)
        os.close(fd)
    except OSError:
        return
    if needle in data and path != '/workspace/program.py' and b'def look(path)' not in data:
        answer.append(path)
for pid in {processes}:
    for name in ('environ', 'cmdline', 'maps', 'mountinfo'):
        if pid not in ('self', str(os.getpid())) or name != 'cmdline': look(f'/proc/{{pid}}/{{name}}')
    try:
        for fd in os.listdir(f'/proc/{{pid}}/fd'): look(f'/proc/{{pid}}/fd/{{fd}}')
    except OSError: pass
for root in {roots!r}:
    for folder, _, names in os.walk(root):
        for name in names: look(os.path.join(folder, name))
if needle in repr(dict(os.environ)).encode(): answer.append('environ')
answer.sort()
"""
VISIBLE = "[p for p in os.listdir('/proc') if p.isdigit()]"
ITSELF = "['self']"  # outside of a box: whoever reads the pipes of other processes takes away what lies in them


def attack(box: WorkerBox, source: str, limits: Limits | None = None) -> Execution:
    return box.run(Program(source=source), limits, want_value=True)


def test_environment_does_not_leak(box: WorkerBox, bare_box: WorkerBox) -> None:
    roots = ["/data", "/workspace", "/tmp", "/etc", "/dev/shm"]
    assert attack(box, SEARCH.format(needle=os.environ["API_KEY_CANARY"], roots=roots, processes=VISIBLE), Limits()).value == []
    control = attack(bare_box, SEARCH.format(needle=os.environ["API_KEY_CANARY"], roots=[], processes=ITSELF), Limits())
    assert "environ" in control.value


def test_key_beside_the_data_is_not_there(box: WorkerBox, bare_box: WorkerBox, database: Path) -> None:
    key = database.parent / "keys.jsonl"
    assert "FileNotFoundError" in attack(box, f"answer = open({str(key)!r}).read()").stderr
    assert attack(bare_box, f"answer = open({str(key)!r}).read()").value == "c0ffee-key-canary"
    found = attack(box, SEARCH.format(needle="c0ffee-key-" + "canary", roots=["/data", "/workspace", "/tmp", "/etc"],
                                      processes=VISIBLE), Limits())
    assert found.value == []
    assert attack(box, "import os; answer = os.listdir('/data')").value == ["ehr.sqlite"]


def test_repository_and_homes_are_not_visible(box: WorkerBox, bare_box: WorkerBox) -> None:
    probe = f"import os\nanswer = [p for p in ({str(REPOSITORY / 'env')!r}, '/etc/shadow', '/var', '/srv') if os.path.exists(p)]"
    assert attack(box, probe).value == []
    assert str(REPOSITORY / "env") in attack(bare_box, probe).value


def test_system_is_read_only(box: WorkerBox) -> None:
    source = """
import os
answer = []
for path in ('/usr/x', '/x', '/etc/x', '/data/x', '/dev/x', '/data/ehr.sqlite', '/proc/sys/kernel/core_pattern',
             '/proc/sysrq-trigger', os.__file__):
    try:
        open(path, 'ab').write(b'x')
        answer.append(path)
    except OSError: pass
"""
    assert attack(box, source).value == []


def test_no_network(box: WorkerBox) -> None:
    source = """
import socket
answer = []
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
    try: answer.append(str(socket.socket(family, socket.SOCK_DGRAM)))
    except OSError: pass
a, b = socket.socketpair()
"""
    assert attack(box, source).value == []
    reach = ("import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
             "c = socket.create_connection(s.getsockname())\nanswer = 'connected'")
    assert attack(box, reach).status == "error"


def test_network_control(bare_box: WorkerBox) -> None:
    assert attack(bare_box, "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\nanswer = 'bound'").value == "bound"


def test_no_privileges(box: WorkerBox) -> None:
    status = attack(box, "answer = open('/proc/self/status').read()").value
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["CapEff"] == fields["CapPrm"] == fields["CapAmb"] == "0" * 16
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert "0" not in fields["Uid"].split()
    denied = attack(box, """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
answer = [libc.unshare(0x10000000), libc.mount(b'x', b'/tmp', b'tmpfs', 0, None), libc.ptrace(16, 2, 0, 0),
          libc.syscall(425, 1, 0), libc.setns(0, 0), libc.memfd_create(b'x', 0), libc.shmget(0, 4096, 0o1600)]
try: os.setuid(0); answer.append(0)
except OSError: pass
""")
    assert denied.value == [-1] * 7


def test_descriptors_are_not_inherited(box: WorkerBox) -> None:
    listed = attack(box, "import os\nanswer = {fd: os.readlink(f'/proc/self/fd/{fd}') "
                          "for fd in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{fd}')}")
    kinds = {fd: target.split(":")[0] for fd, target in listed.value.items() if not target.startswith("/proc/")}
    assert kinds == {"0": "/dev/null", "1": "pipe", "2": "pipe", "3": "pipe"}
    held = box.run(Program(source="ls -l /proc/self/fd | grep -c pipe", language="shell"))
    assert held.stdout == "2\n"


def test_what_the_supervisor_inherited_does_not_reach_the_box(backend: WorkerBackend, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    fd = os.open(tmp_path / "secret", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        box = backend.open(BoxSpec(limits=QUICK))
        reached = attack(box, f"import os\nanswer = os.path.lexists('/proc/self/fd/{fd}')")
        box.close()
        assert reached.value is False
    finally:
        os.close(fd)


def test_the_worker_is_out_of_reach(box: WorkerBox) -> None:
    source = """
import os
answer = []
for pid in (1, os.getppid()):
    for name in ('fd', 'environ', 'mem', 'maps', 'cwd'):
        path = f'/proc/{pid}/{name}'
        try:
            if name == 'fd':  # of an ordinary user's box the numbers can be seen, and no more
                answer += [os.readlink(f'{path}/{fd}') for fd in os.listdir(path)]
            else:
                answer.append(os.readlink(path) if name == 'cwd' else open(path, 'rb').read(1))
        except OSError: pass
"""
    readable = attack(box, source.replace(".read(1)", ".read(1).hex()")).value
    assert readable == []


@pytest.mark.parametrize("source", [
    "import os, signal\nfor n in (9, 15, 2, signal.SIGSTOP, signal.SIGSEGV):\n  os.kill(1, n)\nanswer = 1",
    "import os, signal\nfor n in (9, signal.SIGSTOP):\n  try: os.kill(-1, n)\n  except ProcessLookupError: pass\nanswer = 1"])
def test_the_worker_cannot_be_killed_or_stopped_from_inside(box: WorkerBox, source: str) -> None:
    assert attack(box, source).value == 1
    assert attack(box, "answer = 2").value == 2


def test_a_dead_worker_is_died_and_the_box_comes_back(box: WorkerBox) -> None:
    attack(box, "open('x', 'w').write('x')")
    assert box.worker is not None
    first = box.worker.pid
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(box.run, Program(source=(marker := f"sleep 93{os.getpid()}"), language="shell"), Limits())
        assert wait_for(lambda: running(marker))
        os.kill(first, signal.SIGKILL)  # what the machine's out-of-memory killer would do
        died = under_way.result(timeout=60)
    assert (died.status, died.has_value) == ("died", False)
    assert attack(box, "import os; answer = os.listdir()").value == ["program.py"]


@pytest.mark.parametrize("payload", [b"V{", b"V1e999", b"VNaN", b"X1", b"MCB1" + bytes(100), b"V" + b"[" * 5000 + b"]" * 5000,
                                     b'V"\\ud800"', b"V" + b"9" * 5000])
def test_forged_values_are_never_believed(box: WorkerBox, payload: bytes) -> None:
    run = attack(box, f"import os\nos.write(3, {payload!r})\nos._exit(0)")
    assert run.status == "died"
    assert not run.has_value


def test_a_forged_value_is_only_the_programs_own(box: WorkerBox) -> None:
    run = attack(box, "import os\nos.write(1, b'MCB1' + bytes(96))\nos.write(3, b'V42')\nos._exit(0)")
    assert (run.status, run.value) == ("ok", 42)
    assert not attack(box, "import os\nos.write(3, b'V42')\nos._exit(1)").has_value


def test_forged_frames_on_every_descriptor(box: WorkerBox) -> None:
    source = ("import os\nframe = b'MCB1' + (2).to_bytes(8, 'little') + bytes(88)\nfor fd in range(300):\n"
              "  try: os.write(fd, frame)\n  except OSError: pass\nos._exit(0)")
    run = attack(box, source)
    assert run.status == "died"
    assert attack(box, "answer = 1").value == 1


def test_a_silent_worker_is_noticed(box: WorkerBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("env.sandbox.process.MARGIN_SECONDS", -10.5)
    assert attack(box, "import time; time.sleep(100)").status == "died"
    monkeypatch.undo()
    assert attack(box, "answer = 1").value == 1


def test_a_box_that_vanished_while_idle_is_our_failure(box: WorkerBox) -> None:
    attack(box, "pass")
    assert box.worker is not None
    os.kill(box.worker.pid, signal.SIGKILL)
    assert wait_for(lambda: box.worker is not None and not box.worker.listens())
    with pytest.raises(BoxDied):
        attack(box, "answer = 1")
    assert attack(box, "answer = 1").value == 1


def test_close_leaves_nothing(backend: WorkerBackend) -> None:
    box = backend.open(BoxSpec(limits=QUICK))
    attack(box, "answer = 1")
    assert box.worker is not None
    pid = box.worker.pid
    box.close()
    box.close()
    assert wait_for(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(RuntimeError):
        attack(box, "answer = 1")


def test_close_while_a_program_runs(backend: WorkerBackend) -> None:
    box = backend.open(BoxSpec())
    attack(box, "")
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(box.run, Program(source=(marker := f"sleep 92{os.getpid()}"), language="shell"))
        assert wait_for(lambda: running(marker))
        box.close()
        assert under_way.result(timeout=60).status == "died"


@pytest.mark.parametrize("name", ["zygote", "bwrap"])
def test_kill_9_of_the_supervisor_leaves_nothing(name: str) -> None:
    marker = f"sleep 98{os.getpid()}"
    source = ("from env.sandbox import open_backend\nfrom env.sandbox.base import BoxSpec, Program\n"
              f"backend = open_backend({name!r})\nbackend.open(BoxSpec()).close()\nbox = backend.open(BoxSpec())\n"
              "box.run(Program(source='pass'))\nprint(box.worker.pid, flush=True)\n"
              f"box.run(Program(source={marker!r}, language='shell'))\n")
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert wait_for(lambda: running(marker))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert wait_for(lambda: not running(marker) and not alive(pid))


def test_boxes_outlive_the_thread_that_opened_them(backend: WorkerBackend) -> None:
    with ThreadPoolExecutor(1) as pool:
        box = pool.submit(backend.open, BoxSpec(limits=QUICK)).result()
        pool.submit(attack, box, "pass").result()
    assert attack(box, "answer = 5").value == 5
    box.close()


def test_many_boxes_from_many_threads(backend: WorkerBackend) -> None:
    def episode(number: int) -> list[int]:
        box = backend.open(BoxSpec(limits=Limits()))
        values = [attack(box, f"open('n', 'a').write('{number},')\nanswer = open('n').read()").value for _ in range(3)]
        box.close()
        return [len(value.split(",")) - 1 for value in values if set(value.split(",")) == {str(number), ""}]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(episode, range(24))) == [[1, 2, 3]] * 24


def test_trusted_boxes_are_reused_wiped(backend: WorkerBackend, database: Path) -> None:
    spec = BoxSpec(mounts=(Mount(name="ehr.sqlite", host=database),), limits=QUICK, trusted=True)
    first = backend.open(spec)
    attack(first, "import os\nopen('x', 'w'); os.makedirs('/tmp/a/b'); open('/tmp/a/b/c', 'w'); os.chmod('/tmp/a', 0)\n"
                  "open('/dev/shm/y', 'w'); os.symlink('/data', 'link')")
    pid = first.worker.pid if first.worker else 0
    first.close()
    stranger = backend.open(spec.model_copy(update={"trusted": False}))
    assert stranger.worker is not None
    assert stranger.worker.pid != pid
    second = backend.open(spec)
    assert second.worker is not None
    assert second.worker.pid == pid
    left = attack(second, "import os\nanswer = [os.listdir(p) for p in ('/tmp', '/workspace', '/dev/shm', '/data')]").value
    assert left == [[], ["program.py"], [], ["ehr.sqlite"]]
    stranger.close()
    third = backend.open(spec)
    assert third.worker is not None
    assert third.worker.pid != stranger.worker.pid
    second.close()
    third.close()


@pytest.mark.parametrize("kind", [ZygoteBackend, BwrapBackend])
def test_user_mode_also_works(kind: type[BwrapBackend]) -> None:
    """The way of ordinary users: a user namespace instead of root's mounts."""
    try:
        made = kind(mode="user")
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    made.open(BoxSpec(limits=QUICK)).close()
    box = made.open(BoxSpec(limits=QUICK))
    assert attack(box, "import os; answer = [os.getuid(), os.listdir('/data')]").value == [65534, []]
    test_no_privileges(box)
    test_the_worker_is_out_of_reach(box)
    made.close()


def test_refusals_say_what_to_do(backend: WorkerBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="build the dataset again"):
        backend.open(BoxSpec(mounts=(Mount(name="a", host=tmp_path / "missing"),)))
    (tmp_path / "x").write_text("")
    with pytest.raises(UserError, match="plain file name"):
        backend.open(BoxSpec(mounts=(Mount(name="../x", host=tmp_path / "x"),)))
    with pytest.raises(SandboxUnavailable, match="allow_unsafe"):
        open_backend("bare")
    with pytest.raises(UserError, match="choose one of"):
        open_backend("dokcer")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        open_backend()
    denying = tmp_path / "bwrap"
    denying.write_text("#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not permitted' >&2; exit 1\n")
    denying.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match=r"sysctl|seccomp=unconfined"):
        open_backend()


def test_our_folders_below_a_bound_one_are_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/x", "elsewhere/built"):
        (tmp_path / name).mkdir(parents=True)
    beside = tmp_path / "elsewhere" / "built"
    assert hidden_folders([str(tmp_path)], [beside]) == [str(tmp_path), str(tmp_path / "data"), str(beside)]
    assert hidden_folders(["/usr"], [beside]) == []


def test_description(backend: WorkerBackend) -> None:
    described = backend.describe()
    assert {"backend", "tier", "python", "sqlite", "kernel", "root", "mode", "uid", "seccomp", "limits"} <= set(described)
    assert described["tier"] == backend.tier
    assert ("engine" if "docker" in backend.name else "bubblewrap") in described


def test_boxes_closed_while_they_start_leave_nothing(backend: WorkerBackend) -> None:
    for _ in range(2):  # by the second one the zygote is there
        backend.open(BoxSpec(limits=QUICK)).close()
    before = left_behind("posix,marshal")
    for delay in range(40):
        box = backend.open(BoxSpec(limits=QUICK))
        time.sleep(delay * 0.0005)  # somewhere between its first and its last step
        box.close()
    assert wait_for(lambda: not left_behind("posix,marshal") - before)
