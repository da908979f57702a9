"""The verifier's recipe as a person starts it: export, train three steps, read the check; at tiny size in subprocesses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medcopilot.trace import GradeRecord, Trace, Turn, write_line

TINY = ["model.checkpoint=null", "model.shape.hidden=32", "model.shape.layers=1", "model.shape.heads=2",
        "model.shape.feed_forward=32"]


def launch(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=repository, env=environment, capture_output=True, text=True,
                          timeout=300, check=False)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty tasks, each solved once and failed once."""
    run = tmp_path_factory.mktemp("verifier") / "run"
    lines = []
    for i in range(40):
        task, right = divmod(i, 2)
        answer = task + 1 if right else task - 1
        reply = json.dumps({"action": "submit", "params": {"answer": answer}})
        grade = GradeRecord(score=float(right), label="correct" if right else "wrong")
        lines.append(write_line(Trace(
            id=f"x{i}", task_id=f"t{task}", dataset="medcalcbench", category="c", template="q", split="train", slice="train",
            cluster="k", licence="synthetic", policy="p", stop="submit", submission={"kind": "answer", "answer": answer},
            turns=[Turn(reply=reply, action="submit", params={"answer": answer})], grades={"strict": grade, "paper": grade},
            messages=[{"role": "user", "content": f"What follows {task}?"}, {"role": "assistant", "content": reply}])))
    (run / "traces").mkdir(parents=True)
    (run / "traces" / "0.jsonl").write_text("".join(lines))
    return run


@pytest.mark.slow
def test_from_traces_to_a_checked_verifier(run_folder: Path, repository: Path) -> None:
    export = launch(repository, "-m", "medcopilot.cli.main", "export", "verifier", str(run_folder), "--out",
                    str(run_folder / "verifier.jsonl"), "--tokenizer", str(run_folder / "tokenizer"), "--new-tokenizer", "300",
                    "--profile", "nano")
    assert export.returncode == 0, export.stderr
    assert "40 rows" in export.stdout
    recipe = ["recipes/verifier.py", "recipes/nano/verifier.yaml", "--max-steps", "3", f"run={run_folder}",
              f"data={run_folder}/verifier.jsonl", f"model.tokenizer={run_folder}/tokenizer", *TINY]
    done = launch(repository, *recipe)
    assert done.returncode == 0, done.stderr
    assert "held out: 8 episodes of 4 tasks, 4 of them correct\nAUROC" in done.stdout
    found = json.loads((run_folder / "metrics" / "verifier-eval.json").read_text())
    assert 0 <= found["auroc"]["low"] <= found["auroc"]["estimate"] <= found["auroc"]["high"] <= 1
    checkpoint = run_folder / "checkpoints" / "verifier"
    assert json.loads((checkpoint / "medcopilot.json").read_text())["details"]["steps"] == 3
    assert json.loads((checkpoint / "verifier.json").read_text())["profile"] == "nano"


def test_dry_run_prints_the_resolved_recipe(repository: Path) -> None:
    done = launch(repository, "recipes/verifier.py", "recipes/nano/verifier.yaml", "--dry-run", "--max-steps", "7", "held_out=0.5")
    assert done.returncode == 0, done.stderr
    assert "max_steps: 7" in done.stdout
    assert "held_out: 0.5" in done.stdout
