"""Stopping a study stops the step that it waits for, and whoever goes on waits until that has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from env.errors import UserError
from medcopilot import steps

DRIVER = """
import sys
from pathlib import Path
from medcopilot import steps
steps.end_on_sigterm()
lock = steps.alone(Path(sys.argv[1]).parent)
lock.__enter__()
step = 'import os, sys, time\\nopen(sys.argv[1], "w").write(str(os.getpid()))\\ntime.sleep(60)'
steps.run_step(Path(sys.argv[1]).parent, 'sleep', 'step', lambda: steps.call([sys.executable, '-c', step, sys.argv[1]], 1))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_the_step_ends_too_and_leaves_no_mark(tmp_path: Path, number: int, code: int) -> None:
    note = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(note)]) as driver:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        step = int(note.read_text())
        with pytest.raises(UserError, match="another process is at work here"), steps.alone(tmp_path, patience=0):
            pass
        os.kill(driver.pid, number)
        assert driver.wait(30) == code
    with steps.alone(tmp_path):  # the lock is free when the step has ended
        assert not alive(step)
    assert not (tmp_path / "sleep.json").exists()
