"""A sampling run gives the same traces wherever it is played, and whatever ends it in between."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medcopilot.runs import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("sandbox")]
DATA = ("--dataset", "medcalcbench", "--train", "200", "--test", "110", "--patients", "50")
TIMEOUT = 7_200
"""Seconds of one undisturbed run; a loaded machine may need them for 5,000 episodes."""


def command(out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "medcopilot.cli.main", "sample", "expert", *DATA, "--out", str(out), *options]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {**os.environ, "MEDCOPILOT_DATA": str(tmp_path_factory.mktemp("data")), "OMP_NUM_THREADS": "1"}


def play(out: Path, environment, *options: str) -> str:
    done = subprocess.run(command(out, *options), env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def outcomes(out: Path) -> dict[str, dict]:
    """Traces by id, each once, without what a clock said."""
    found = {}
    for trace in RunFolder.open(out).traces():
        assert trace.id not in found, "a trace was written twice"
        row = trace.model_dump(mode="json", exclude={"seconds", "grade_seconds", "started", "sandbox"})
        for turn in row["turns"]:
            del turn["generate_seconds"], turn["env_seconds"]
            for name in ("seconds", "cpu_seconds"):
                (turn["execution"] or {}).pop(name, None)
        found[trace.id] = row
    return found


def test_all_backends_give_the_same_traces(environment, tmp_path):
    options = ("--n", "20", "--samples", "2")
    play(tmp_path / "local", environment, *options)
    expected = outcomes(tmp_path / "local")
    assert len(expected) == 40
    for backend in ("joblib", "ray"):
        play(tmp_path / backend, environment, *options, "--backend", backend, "--workers", "2")
        assert outcomes(tmp_path / backend) == expected
        assert len(list((tmp_path / backend / "traces").iterdir())) == 2
    # the runs are the same run: one backend goes on where another stopped
    (tmp_path / "joblib" / "traces" / sorted(path.name for path in (tmp_path / "joblib" / "traces").iterdir())[0]).unlink()
    play(tmp_path / "joblib", environment, *options)
    assert outcomes(tmp_path / "joblib") == expected


def test_a_budget_ends_a_run_in_order_and_an_estimate_plays_nothing(environment, tmp_path):
    out, options = tmp_path / "r", ("--n", "100")
    said = play(out, environment, *options, "--estimate")
    assert "100 of 100 episodes are owed" in said
    assert not out.exists()
    said = play(out, environment, *options, "--max-seconds", "0.001", "--concurrency", "4")
    assert "the budget max_seconds is used up" in said
    uncounted = command(out, *options, "--max-tokens", "1")
    refused = subprocess.run(uncounted, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (refused.returncode, "does not say how many tokens" in refused.stderr) == (2, True)
    assert json.loads((out / "summary.json").read_text())["planned"] == 100
    play(out, environment, *options, "--estimate", "--json", str(tmp_path / "e.json"))
    found = json.loads((tmp_path / "e.json").read_text())
    assert found["owed"] + found["done"] == found["episodes"] == 100
    assert found["expected"]["usd"] is None
    assert (found["expected"]["seconds"] is None) == (found["from_traces"] == 0)
    other = command(out, *options, "--protocol", "paper", "--estimate")
    refused = subprocess.run(other, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert refused.returncode == 2
    assert "holds a run with another config (different: protocol)" in refused.stderr


@pytest.mark.parametrize(("tasks", "samples", "kills", "backend"), [
    (60, 4, 3, "joblib"), pytest.param(100, 50, 10, "local", marks=pytest.mark.thorough),
    pytest.param(100, 50, 10, "joblib", marks=pytest.mark.thorough)])
def test_kills_at_any_point_cost_nothing_but_time(environment, tmp_path, tasks, samples, kills, backend):
    options = ("--n", str(tasks), "--samples", str(samples), "--backend", backend)
    play(tmp_path / "whole", environment, "--n", str(tasks), "--samples", str(samples))
    expected = outcomes(tmp_path / "whole")
    assert len(expected) == tasks * samples
    chance, out = random.Random(0), tmp_path / "killed"
    whole = size(tmp_path / "whole")
    for point in sorted(chance.randint(1, whole * 9 // 10) for _ in range(kills)):
        process = subprocess.Popen(command(out, *options), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and size(out) < point:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended by itself"
        print(f"killed with {size(out):,} of {whole:,} bytes written")
    play(out, environment, *options)
    assert outcomes(out) == expected


def size(out: Path) -> int:
    return sum(path.stat().st_size for path in out.glob("traces/*.jsonl"))
