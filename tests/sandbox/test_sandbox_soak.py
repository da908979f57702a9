"""What many boxes leave behind: nothing; and what is left of 64 running ones when their supervisor is killed: nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import processes, wait_for
from soak import mounts

from env.sandbox.backend import WorkerBackend
from env.sandbox.docker import DockerBackend

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).resolve().parents[2]
EXECUTIONS, EACH = 20_000, 5


def test_a_soak_of_20000_executions_leaks_nothing(backend: WorkerBackend) -> None:
    executions = EXECUTIONS if backend.name == "zygote" else EXECUTIONS // 10
    words = [sys.executable, Path(__file__).with_name("soak.py"), backend.name, str(executions // EACH), str(EACH)]
    soaked = subprocess.run(words, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
                            check=False)
    assert soaked.returncode == 0, soaked.stderr
    told = json.loads(soaked.stdout)
    assert not any(told["left"].values()), told
    assert told["before"]
    for first, last in zip(told["before"], told["after"], strict=True):
        for name in first:
            assert last[name] <= first[name] + (8192 if name == "kib" else 8), (name, told)


def test_kill_9_during_64_episodes_leaves_nothing(backend: WorkerBackend) -> None:
    marker = f"sleep 94{os.getpid()}"
    source = (f"from concurrent.futures import ThreadPoolExecutor\nfrom env.sandbox import open_backend\n"
              f"from env.sandbox.base import BoxSpec, Program\nbackend = open_backend({backend.name!r})\n"
              f"boxes = [backend.open(BoxSpec()) for _ in range(64)]\nwith ThreadPoolExecutor(64) as pool:\n"
              f"    list(pool.map(lambda box: box.run(Program(source={marker!r}, language='shell')), boxes))\n")
    before = mounts()
    supervisor = subprocess.Popen([sys.executable, "-c", source], cwd=REPOSITORY)
    assert wait_for(lambda: len(processes(marker)) >= 64, 60.0)
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()

    def nothing() -> bool:
        own = f"medcopilot-{supervisor.pid}-"
        return not processes(marker) and not any(own in folder for folder, _, _ in os.walk("/sys/fs/cgroup"))

    assert wait_for(nothing)
    assert wait_for(lambda: mounts() <= before)
    if isinstance(backend, DockerBackend):
        ours = {"label": f"medcopilot={supervisor.pid}"}
        assert wait_for(lambda: not backend._client.api.containers(all=True, filters=ours), 30.0)
