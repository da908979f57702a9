"""Resource attacks: each ends within its limits, with the right status, and leaves a box that works."""

from __future__ import annotations

import time

import pytest

from env.sandbox.base import Execution, Program
from env.sandbox.box import WorkerBox
from env.task import Limits

SMALL = Limits(exec_seconds=20.0, memory_mb=128, processes=16, file_mb=8, output_bytes=2000)
"""For programs that end by themselves, on a machine where much else runs."""
SHORT = SMALL.model_copy(update={"exec_seconds": 0.4})


def run(box: WorkerBox, source: str, language: str = "python", limits: Limits = SMALL) -> Execution:
    started = time.monotonic()
    execution = box.run(Program(source=source, language=language), limits, want_value=True)
    assert time.monotonic() - started < limits.exec_seconds + 15
    return execution


def alive(box: WorkerBox) -> list[str]:
    """Processes in the box besides its worker and the one that looks."""
    found = run(box, "import os\nanswer = [p for p in os.listdir('/proc') if p.isdigit()]", limits=Limits())
    return [pid for pid in found.value if int(pid) > 1][:-1]


def test_soft_timeout_keeps_partial_output(box: WorkerBox) -> None:
    done = run(box, "print('begun')\nwhile True: pass", limits=SHORT)
    assert (done.status, done.stdout, done.has_value) == ("timeout_soft", "begun\n", False)
    assert "KeyboardInterrupt" in done.stderr


def test_hard_timeout_keeps_partial_output(box: WorkerBox) -> None:
    source = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('begun')\nwhile True: pass"
    done = run(box, source, limits=SHORT)
    assert (done.status, done.stdout) == ("timeout_hard", "begun\n")


def test_timeout_kills_the_whole_tree(box: WorkerBox) -> None:
    done = run(box, "(setsid sleep 1000 &) ; sleep 1000 & trap '' INT; while :; do sleep 100; done", "shell", SHORT)
    assert done.status == "timeout_hard"
    assert alive(box) == []


def test_a_daemon_does_not_outlive_its_run(box: WorkerBox, bare_box: WorkerBox) -> None:
    source = ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
              "        time.sleep({})\n        open('late', 'w').write('x')\n    os._exit(0)\nos.wait()\nanswer = 1")
    assert run(box, source.format(300)).value == 1
    assert alive(box) == []
    assert run(bare_box, source.format(0.1)).value == 1  # the control: there it lives on
    deadline = time.monotonic() + 30
    while not bare_box.read_files(["late"], 10) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert bare_box.read_files(["late"], 10) == {"late": b"x"}


def test_fork_bomb(box: WorkerBox) -> None:
    done = run(box, "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", limits=SHORT)
    assert done.status in ("timeout_hard", "timeout_soft", "killed")
    assert alive(box) == []


def test_process_limit_holds(box: WorkerBox) -> None:
    source = ("import os, time\nanswer = 0\ntry:\n  for _ in range(200):\n    if os.fork() == 0: time.sleep(9)\n"
              "    answer += 1\nexcept BlockingIOError: pass")
    assert 0 < run(box, source).value <= SMALL.processes


def test_memory_bomb(box: WorkerBox) -> None:
    assert run(box, "x = bytearray(1 << 30)").status == "oom"
    assert run(box, "answer = len(bytearray(50 << 20))").value == 50 << 20


@pytest.mark.parametrize("source", [
    "import os, time\nfor _ in range(8):\n  if os.fork() == 0: break\nx = bytearray(60 << 20)\nfor i in range(0, len(x), 4096): "
    "x[i] = 1\ntime.sleep(5)",
    "import mmap, time\nm = mmap.mmap(-1, 1 << 30)\nfor i in range(0, 1 << 30, 4096): m[i] = 1\ntime.sleep(5)"])
def test_memory_of_many_processes_and_shared_memory(box: WorkerBox, source: str) -> None:
    done = run(box, source)
    assert done.status == "oom", done


def test_disk_fill(box: WorkerBox) -> None:
    done = run(box, "for i in range(100):\n  open(f'/tmp/{i}', 'wb').write(bytes(4 << 20))")
    assert done.status == "error"
    assert "No space left" in done.stderr
    assert "File too large" in run(box, "open('x', 'wb').write(bytes(12 << 20))").stderr


def test_output_flood_is_cut_off(box: WorkerBox) -> None:
    done = run(box, "import os\nx = b'y' * 65536\nfor _ in range(1 << 14): os.write(1, x)")
    assert done.status == "output_limit"
    assert len(done.stdout) < 2200


def test_both_pipes_full_do_not_deadlock(box: WorkerBox) -> None:
    done = run(box, "import os\nfor _ in range(20):\n  os.write(1, b'o' * 65536); os.write(2, b'e' * 65536)",
               limits=Limits(exec_seconds=20, output_bytes=256))
    assert done.status == "ok"


def test_huge_value_is_refused(box: WorkerBox) -> None:
    assert run(box, "answer = 'x' * (6 << 20)").unsupported == "size"
    assert run(box, "import os\nwhile True: os.write(3, b'V' * 65536)").status == "output_limit"


def test_a_process_name_is_no_figure_of_its_memory(box: WorkerBox) -> None:
    rename = "import ctypes, time\nctypes.CDLL(None).prctl(15, b'RssAnon:x')\ntime.sleep(0.3)\nanswer = 1"
    assert run(box, rename).value == 1
    many = ("import ctypes, os, time\nctypes.CDLL(None).prctl(15, b'RssAnon:-999999')\nfor _ in range(6):\n"
            "  if os.fork() == 0:\n    held = bytearray(b'x') * (100 << 20)\n    time.sleep(5)\n    os._exit(0)\ntime.sleep(1.5)")
    assert run(box, many).status in ("oom", "killed")


def test_the_worker_reads_no_settings_that_a_program_left(box: WorkerBox) -> None:
    run(box, "import os\nos.mkfifo('matplotlibrc')")
    imported = "try:\n  import pandas.plotting._matplotlib\nexcept BaseException: pass"
    assert run(box, imported, limits=SHORT).status in ("ok", "error", "timeout_soft")
    assert run(box, "answer = 2").value == 2
