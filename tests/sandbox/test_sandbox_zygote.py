"""What is the zygote's own: forking, its death, and that no box reaches it or, through it, another box."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import alive, running, wait_for

from env.errors import BoxDied, SandboxUnavailable
from env.sandbox import open_backend
from env.sandbox.base import BoxSpec, Mount, Program
from env.sandbox.box import WorkerBox
from env.sandbox.zygote import KEEP, ZygoteBackend, profile_of
from env.task import Limits

SPEC = BoxSpec(limits=Limits(exec_seconds=5.0, memory_mb=256, file_mb=16))


@pytest.fixture
def zygotes() -> Iterator[ZygoteBackend]:
    try:
        made = open_backend("zygote")
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    assert isinstance(made, ZygoteBackend)
    made.open(SPEC).close()  # the first box of any data comes from bubblewrap alone
    yield made
    made.close()


def value(box: WorkerBox, source: str) -> object:
    run = box.run(Program(source=source), want_value=True)
    assert run.status == "ok", run
    return run.value


def only(zygotes: ZygoteBackend) -> int:
    (zygote,) = zygotes.zygotes.living.values()
    return zygote._process.pid


def test_boxes_share_a_zygote_and_nothing_else(zygotes: ZygoteBackend) -> None:
    first, second = zygotes.open(SPEC), zygotes.open(SPEC)
    assert value(first, "open('/tmp/mine', 'w'); open('/dev/shm/mine', 'w'); import os; answer = os.getpid()") == 2
    assert value(second, "import os; answer = [os.listdir(p) for p in ('/tmp', '/dev/shm')] + [os.getpid()]") == [[], [], 2]
    seen = "import os; answer = [os.readlink('/proc/self/ns/' + name) for name in ('pid', 'mnt', 'net', 'ipc', 'uts')]"
    names = [value(box, seen) for box in (first, second)]
    assert not set(map(str, names[0])) & set(map(str, names[1]))
    assert len(zygotes.zygotes.living) == 1


def test_what_a_program_changes_does_not_reach_the_next_box(zygotes: ZygoteBackend) -> None:
    poison = ("import builtins, json, sqlite3\njson.dumps = lambda *_: 'poisoned'\nbuiltins.len = lambda _: 0\n"
              "sqlite3.connect = None\nopen('math.py', 'w').write('pi = 3')\nanswer = json.dumps(1)")
    look = "import json, math, sqlite3\nanswer = [json.dumps(1), len('ab'), sqlite3.connect is None, math.pi > 3]"
    first = zygotes.open(SPEC)
    assert value(first, poison) == "poisoned"
    for box in (first, zygotes.open(SPEC)):
        assert value(box, look) == ["1", 2, False, True]


def test_no_descriptor_of_the_zygote_reaches_a_program(zygotes: ZygoteBackend) -> None:
    box = zygotes.open(SPEC)
    kinds = value(box, "import os\nanswer = sorted(os.readlink(f'/proc/self/fd/{n}').partition(':')[0] for n in "
                       "os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}') or int(n) < 3)")
    assert isinstance(kinds, list)
    assert set(kinds) <= {"/dev/null", "pipe", "/proc/2/fd"}, kinds


def test_when_the_zygote_dies_it_is_our_failure_and_the_next_box_works(zygotes: ZygoteBackend) -> None:
    marker = f"sleep 97{os.getpid()}"
    busy, idle = zygotes.open(SPEC), zygotes.open(SPEC)
    value(idle, "answer = 1")
    first = only(zygotes)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(busy.run, Program(source=marker, language="shell"))
        assert wait_for(lambda: running(marker))
        os.kill(first, signal.SIGKILL)
        with pytest.raises(BoxDied):
            run.result(timeout=60)
    with pytest.raises(BoxDied):
        idle.run(Program(source="answer = 1"))
    assert value(idle, "answer = 2") == 2
    assert value(zygotes.open(SPEC), "answer = 3") == 3
    assert only(zygotes) != first


def test_a_fork_that_fails_costs_one_box_only(zygotes: ZygoteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = zygotes.open(SPEC)
    value(busy, "open('kept', 'w')\nanswer = 1")
    real = socket.recv_fds

    def failing(*arguments: object) -> tuple[bytes, list[int], int, None]:
        for fd in real(*arguments)[1]:  # type: ignore[arg-type]
            os.close(fd)
        return b"E" + errno.ENOMEM.to_bytes(4, "little"), [], 0, None

    monkeypatch.setattr(socket, "recv_fds", failing)
    with pytest.raises(BoxDied, match="Cannot allocate memory"):
        zygotes.open(SPEC)
    monkeypatch.undo()
    assert value(busy, "import os\nanswer = sorted(os.listdir())") == ["kept", "program.py"]
    assert value(zygotes.open(SPEC), "answer = 3") == 3


def test_closing_the_backend_ends_the_zygotes(zygotes: ZygoteBackend) -> None:
    box = zygotes.open(SPEC)
    value(box, "answer = 1")
    assert box.worker is not None
    pids = [only(zygotes), box.worker.pid]
    zygotes.close()
    assert not any(map(alive, pids))


def test_data_seen_once_need_no_zygote_and_idle_zygotes_make_room(zygotes: ZygoteBackend, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    specs = []
    for number in range(KEEP + 2):
        (tmp_path / f"{number}.txt").write_text(str(number))
        specs.append(SPEC.model_copy(update={"mounts": (Mount(name="n.txt", host=tmp_path / f"{number}.txt"),)}))
    source = "answer = open('/data/n.txt').read()"
    for number, spec in enumerate(specs):
        box = zygotes.open(spec)
        assert value(box, source) == str(number)
        box.close()
    assert len(zygotes.zygotes.living) == 0
    kept = zygotes.open(specs[0])
    for number, spec in enumerate(specs):
        box = zygotes.open(spec)
        assert value(box, source) == str(number)
        box.close()
    assert len(zygotes.zygotes.living) == KEEP
    assert value(kept, source) == "0"  # a zygote with an open box stays


def test_a_fork_of_the_supervisor_leaves_our_zygotes_alone(zygotes: ZygoteBackend) -> None:
    box = zygotes.open(SPEC)
    value(box, "answer = 1")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if value(zygotes.open(SPEC), "answer = 7") == 7 and value(zygotes.open(SPEC), "answer = 8") == 8 else 2
            zygotes.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert value(box, "answer = 2") == 2
    assert value(zygotes.open(SPEC), "answer = 3") == 3


@pytest.mark.parametrize(("source", "profile"), [
    ("print(1)", "base"), ("import json, re\nx = 'import pandas'", "base"), ("import pandas as pd", "pandas"),
    ("import os, numpy", "pandas"), ("def f():\n    from numpy.linalg import norm", "pandas"),
    ("import math; import pandas", "base"), ("import ,\nfrom\nimport", "base"),
    ("import scipy.stats as st\nimport pandas", "science"), ("from sklearn import metrics", "science"),
])
def test_the_profile_is_read_from_the_import_lines(source: str, profile: str) -> None:
    assert profile_of(Program(source=source)) == profile
    assert profile_of(Program(source=source, language="shell")) == "base"


def test_the_first_program_chooses_the_zygote(zygotes: ZygoteBackend) -> None:
    source = "import sys\nloaded = 'pandas' in sys.modules\nimport pandas as pd\nanswer = [loaded, int(pd.Series([1, 2]).sum())]"
    counted = [value(zygotes.open(SPEC), source) for _ in range(3)]
    assert counted == [[True, 3]] * 3  # imported by the worker before the program, or by its zygote before the worker
    assert sorted(profile for _, profile in zygotes.zygotes.living) == ["base", "pandas"]
    later = zygotes.open(SPEC)
    value(later, "open('kept', 'w')\nanswer = 1")
    value(later, source)
    assert value(later, "import os\nanswer = 'kept' in os.listdir()") is True  # a box that has run something is not exchanged
