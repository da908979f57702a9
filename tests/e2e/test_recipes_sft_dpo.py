"""The SFT and DPO recipes as a person starts them: export, SFT, pairs, DPO, at tiny size in subprocesses."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from medcopilot.trace import GradeRecord, Trace, Turn, write_line

ROOT = Path(__file__).resolve().parents[2]
TINY = ["model.shape.hidden=32", "model.shape.layers=1", "model.shape.heads=2", "model.shape.feed_forward=32"]


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
                          check=False)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty tasks, each solved once and failed once."""
    rng = random.Random(0)
    run = tmp_path_factory.mktemp("recipes") / "run"
    lines = []
    numbers = [(rng.randint(10, 99), rng.randint(10, 99)) for _ in range(20)]
    for i in range(40):
        a, b = numbers[i // 2]
        right = i % 2 == 0
        reply = json.dumps({"action": "submit", "params": {"program": f"answer={a}+{b}" if right else f"answer={a}-{b}"}})
        grade = GradeRecord(score=float(right), label="correct" if right else "wrong")
        messages = [{"role": "user", "content": f"Sum of {a} and {b}?"}, {"role": "assistant", "content": reply}]
        lines.append(write_line(Trace(
            id=f"x{i}", task_id=f"t{i // 2}", dataset="medcalcbench", category="c", template="q", split="train", slice="train",
            cluster="k", licence="synthetic", policy="expert", stop="submit", turns=[Turn(reply=reply)], messages=messages,
            grades={"strict": grade, "paper": grade})))
    (run / "traces").mkdir(parents=True)
    (run / "traces" / "0.jsonl").write_text("".join(lines))
    return run


def export(run: Path, kind: str, tokenizer: Path) -> None:
    done = launch("-m", "medcopilot.cli.main", "export", kind, str(run), "--out", str(run / f"{kind}.jsonl"), "--tokenizer",
                  str(tokenizer), "--new-tokenizer", "300")
    assert done.returncode == 0, done.stderr


def test_from_traces_to_a_preferring_policy(run_folder: Path) -> None:
    export(run_folder, "sft", run_folder / "tokenizer")
    sft = launch("recipes/sft.py", "recipes/nano/sft.yaml", "--max-steps", "3", f"run={run_folder}", f"data={run_folder}/sft.jsonl",
                 f"model.tokenizer={run_folder}/tokenizer", *TINY)
    assert sft.returncode == 0, sft.stderr
    assert str(run_folder / "checkpoints" / "sft") in sft.stderr
    export(run_folder, "dpo", run_folder / "checkpoints" / "sft")
    dpo = launch("recipes/dpo.py", "recipes/nano/dpo.yaml", "--max-steps", "2", f"run={run_folder}", f"data={run_folder}/dpo.jsonl",
                 f"model.checkpoint={run_folder}/checkpoints/sft", "log_steps=1")
    assert dpo.returncode == 0, dpo.stderr
    meta = json.loads((run_folder / "checkpoints" / "dpo" / "medcopilot.json").read_text())
    assert (meta["profile"], meta["policy_version"], meta["stage"]) == ("nano", 2, "dpo")
    assert len((run_folder / "metrics" / "dpo.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_dry_run_prints_the_resolved_recipe(stage: str) -> None:
    done = launch(f"recipes/{stage}.py", f"recipes/nano/{stage}.yaml", "--dry-run", "--max-steps", "7", "optimizer.lr=0.5")
    assert done.returncode == 0, done.stderr
    assert "max_steps: 7" in done.stdout
    assert "lr: 0.5" in done.stdout


def test_a_typing_error_exits_with_two() -> None:
    done = launch("recipes/sft.py", "recipes/nano/sft.yaml", "batch_token=9")
    assert done.returncode == 2
    assert "did you mean 'batch_tokens'" in done.stderr
    assert "Traceback" not in done.stderr
