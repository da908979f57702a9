"""The process of a box's later programs is forked ahead; nothing about them differs from the first ones."""

from __future__ import annotations

import pytest

from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Program
from env.sandbox.box import WorkerBox
from env.task import Limits

QUICK = Limits(exec_seconds=10.0, memory_mb=256, processes=24, file_mb=16, output_bytes=4000)


@pytest.fixture
def aged(box: WorkerBox) -> WorkerBox:
    for _ in range(3):
        assert box.run(Program(source="import os\nleft = 1\nos.environ['LEFT'] = '1'\nopen('kept', 'a').write('x')")).status == "ok"
    return box


def test_every_program_has_a_process_of_its_own(aged: WorkerBox) -> None:
    source = "import os\nanswer = [os.getpid(), 'left' in globals(), 'LEFT' in os.environ, open('kept').read(), os.getcwd()]"
    runs = [aged.run(Program(source=source), want_value=True).value for _ in range(4)]
    assert len({run[0] for run in runs}) == 4
    assert {tuple(run[1:]) for run in runs} == {(False, False, "xxx", "/workspace")}


def test_the_one_that_waits_is_not_there_while_a_program_runs(aged: WorkerBox) -> None:
    source = "import os\nanswer = [p for p in os.listdir('/proc') if p.isdigit()]"
    for _ in range(2):
        assert len(aged.run(Program(source=source), want_value=True).value) == 2  # the worker and itself
        assert aged.run(Program(source="echo /proc/[0-9]*", language="shell")).stdout.count("/proc/") == 2


def test_languages_may_alternate(aged: WorkerBox) -> None:
    for _ in range(3):
        assert aged.run(Program(source="select name from t where id = 1", language="sql"), want_value=True).value == [["a"]]
        assert aged.run(Program(source="echo $HOME", language="shell")).stdout == "/workspace\n"
        assert aged.run(Program(source="answer = 6 * 7"), want_value=True).value == 42


def test_packages_that_are_new_to_the_box_can_be_imported(aged: WorkerBox) -> None:
    source = "import pandas as pd\nanswer = int(pd.Series([1, 2]).sum())"
    assert [aged.run(Program(source=source), want_value=True).value for _ in range(3)] == [3, 3, 3]


def test_limits_are_those_of_each_run(aged: WorkerBox) -> None:
    brief, small = QUICK.model_copy(update={"exec_seconds": 0.3}), QUICK.model_copy(update={"memory_mb": 64, "file_mb": 1})
    assert aged.run(Program(source="import time; time.sleep(60)"), brief).status == "timeout_soft"
    assert aged.run(Program(source="held = bytearray(100 << 20)"), small).status == "oom"
    assert "File too large" in aged.run(Program(source="open('big', 'wb').write(bytes(2 << 20))"), small).stderr
    assert aged.run(Program(source="held = bytearray(100 << 20)\nanswer = 1"), QUICK, want_value=True).value == 1


def test_output_and_failures_are_reported_as_ever(aged: WorkerBox) -> None:
    for _ in range(2):
        run = aged.run(Program(source="import sys\nprint('out')\nprint('err', file=sys.stderr)\nraise SystemExit(7)"))
        assert (run.status, run.exit_code, run.stdout, run.stderr) == ("error", 7, "out\n", "err\n")
        assert aged.run(Program(source="import os; os.kill(os.getpid(), 9)")).status == "killed"
        assert aged.run(Program(source=f"x = {'y' * 200_000!r}\nanswer = len(x)"), want_value=True).value == 200_000


def test_a_wiped_box_knows_nothing_of_its_past(backend: WorkerBackend) -> None:
    spec = BoxSpec(limits=QUICK, trusted=True)
    first = backend.open(spec)
    for _ in range(4):
        first.run(Program(source="open('kept', 'a').write('x')"))
    first.close()
    second = backend.open(spec)
    assert second.run(Program(source="import os\nanswer = os.listdir()"), want_value=True).value == ["program.py"]
    second.close()
