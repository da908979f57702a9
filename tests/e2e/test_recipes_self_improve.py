"""recipes/self_improve.py as a user runs it: a policy that knows four tasks half learns from itself, is killed, and goes on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from medcopilot.runs import RunFolder

pytestmark = pytest.mark.slow

STEPS = ["1-compare", "dpo-1-export", "dpo-1-sample", "dpo-1-train", "eval-1", "eval-start", "sft-1-export", "sft-1-sample",
         "sft-1-train"]


@pytest.fixture
def recipe(workshop, tmp_path) -> Path:
    common = {"datasets": ["medcalcbench"], "builds": workshop.builds, "profile": "nano", "concurrency": 8, "threads": 1}
    gentle = {"optimizer.name": "adamw", "optimizer.lr": 1e-5, "optimizer.warmup_steps": 0}
    path = tmp_path / "improve.yaml"
    path.write_text(yaml.safe_dump({
        "run": str(tmp_path / "run"), "rounds": 1, "start": str(workshop.folder / "start"),
        "sample": {**common, "tasks_per_dataset": workshop.tasks, "samples": 4, "temperature": 1.0, "greedy_first": False},
        "sft": {"recipe": "recipes/nano/sft.yaml", "export": {"per_task": 2}, "changes": {"max_steps": 2, **gentle}},
        "dpo": {"recipe": "recipes/nano/dpo.yaml", "changes": {"max_steps": 2, **gentle}},
        "evaluate": {**common, "tasks_per_dataset": 2}}))
    return path


def command(workshop, recipe: Path, *overrides: str) -> dict:
    return {"args": [sys.executable, "recipes/self_improve.py", "--config", str(recipe), *overrides], "cwd": workshop.repository,
            "env": {**workshop.environment, "PYTHONPATH": str(workshop.repository)}}


def finished(recipe: Path) -> list[str]:
    return sorted(path.stem for path in (recipe.parent / "run" / "steps").glob("*.json"))


def test_a_killed_run_goes_on_and_repeats_nothing(workshop, recipe) -> None:
    run = recipe.parent / "run"
    first = subprocess.Popen(**command(workshop, recipe), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 900
    while "sft-1-sample" not in finished(recipe):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert finished(recipe) != STEPS
    shard = run / "rollouts" / "sft-1" / "traces" / "main.jsonl"
    before = shard.stat().st_mtime_ns

    second = subprocess.run(**command(workshop, recipe), capture_output=True, text=True, timeout=1800, check=False)
    assert second.returncode == 0, second.stdout[-2000:] + second.stderr[-3000:]
    assert finished(recipe) == STEPS
    assert shard.stat().st_mtime_ns == before
    for name in ("sft-1", "dpo-1"):
        traces = list(RunFolder.open(run / "rollouts" / name).traces())
        assert len(traces) == len({trace.id for trace in traces}) == 4 * workshop.tasks
        assert {trace.policy for trace in traces} == {"start" if name == "sft-1" else "sft-1"}
        card = json.loads((run / "data" / f"{name}.jsonl.card.json").read_text())
        assert card["filters"][0]["name"] == "10-grams of test questions"
        assert card["sources"][0]["run"] == str(run / "rollouts" / name)
    assert json.loads((run / "checkpoints" / "dpo-1" / "medcopilot.json").read_text())["policy_version"] == 3
    assert {"start", "round-1"} <= set(json.loads((run / "evaluation.json").read_text())["runs"])

    weights = run / "checkpoints" / "dpo-1" / "model.safetensors"
    made = weights.stat().st_mtime_ns
    third = subprocess.run(**command(workshop, recipe), capture_output=True, text=True, timeout=600, check=False)
    assert third.returncode == 0, third.stderr
    assert third.stdout.count("done before") == len(STEPS)
    assert weights.stat().st_mtime_ns == made
    refused = subprocess.run(**command(workshop, recipe, "seed=5"), capture_output=True, text=True, timeout=600, check=False)
    assert refused.returncode == 2
    assert "other settings" in refused.stderr
