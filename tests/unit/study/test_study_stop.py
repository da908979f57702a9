"""Stopping a study stops the step that it waits for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

DRIVER = """
import sys
from pathlib import Path
from medcopilot import steps
steps.end_on_sigterm()
step = 'import os, sys, time\\nopen(sys.argv[1], "w").write(str(os.getpid()))\\ntime.sleep(60)'
steps.run_step(Path(sys.argv[1]).parent, 'sleep', 'step', lambda: steps.call([sys.executable, '-c', step, sys.argv[1]], 1))
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_ends_the_step_too_and_leaves_no_mark(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", DRIVER, str(note)]) as driver:
        deadline = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        step = int(note.read_text())
        os.kill(driver.pid, signal.SIGTERM)
        assert driver.wait(30) == 143
    assert not alive(step)
    assert not (tmp_path / "sleep.json").exists()
