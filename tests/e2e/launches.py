"""Starts recipes the way a user starts them, as one process or through `accelerate launch`, on tiny data.

A stage is an entry of `STAGES`; one that trains from a rollout dump joins the tests by adding its own.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import runpy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {"ddp": "DDP", "zero2": "ZeRO-2", "zero3": "ZeRO-3", "fsdp2": "FSDP2"}
"""Accelerate configurations of `accelerate_configs/ci`, and what a run under each must say."""
SHAPE = {"hidden": 32, "layers": 2, "heads": 2, "feed_forward": 48, "positions": 256}


class Stage(NamedTuple):
    """What one recipe is tested with."""

    overrides: tuple[str, ...]
    """`{folder}` is the workshop."""
    alone: tuple[str, ...]
    """What makes one process train on the global batches of two."""


REPLAY = ("replay={folder}/rounds", "model.checkpoint={folder}/start", "max_seconds=null", "micro_batches=2")
STAGES = {
    "sft": Stage(("data={folder}/sft.jsonl", "model.tokenizer={folder}/tokenizer", "batch_tokens=512", "optimizer.warmup_steps=1",
                  *(f"model.shape.{name}={size}" for name, size in SHAPE.items())), ("accumulation=2",)),
    "dpo": Stage(("data={folder}/dpo.jsonl", "model.checkpoint={folder}/start", "batch_pairs=4", "optimizer.lr=0.01",
                  "optimizer.warmup_steps=1"), ("accumulation=2",)),
    "verifier": Stage(("data={folder}/verifier.jsonl", "model.checkpoint={folder}/start", "batch_tokens=512", "optimizer.lr=0.01",
                       "optimizer.warmup_steps=1"), ("accumulation=2",)),
    # a round is dealt out to the processes there are
    "grpo": Stage((*REPLAY, "rollouts.groups=2", "optimizer.name=adamw", "optimizer.lr=0.003", "optimizer.warmup_steps=1"), ()),
    "ppo": Stage((*REPLAY, "critic.warmup_steps=1"), ()),
}
COMMON = ("bf16=false", "log_steps=1")


def make_workshop(folder: Path) -> None:
    """A tokenizer, a checkpoint, rows for SFT and the verifier, pairs for DPO and rounds of rollouts."""
    from medcopilot.agent.render import ChatRenderer
    from medcopilot.data.rows import Card, rows_digest, tokenizer_digest, write_rows
    from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
    from medcopilot.train.tokenizer import save_tokenizer, train_tokenizer
    from medcopilot.verifier.prompt import NO, YES, answer_tokens

    rng = random.Random(0)
    talks = []
    for _ in range(64):  # whole steps per epoch: a last one in part would be filled up
        a, b = rng.randint(10, 99), rng.randint(10, 99)
        replies = [json.dumps({"action": "submit", "params": {"program": f"answer={x}"}}) for x in (f"{a}+{b}", f"{a}-{b}")]
        talks.append((f"Dose {a} mg, then {b} mg.\nTotal?", *replies))
    tokenizer = train_tokenizer([text for talk in talks for text in talk], 400)
    save_tokenizer(tokenizer, folder / "tokenizer")
    save_checkpoint(new_nano(tokenizer, NanoShape(**SHAPE), seed=1), tokenizer, folder / "start",
                    CheckpointMeta(profile="nano", policy_version=1))
    renderer = ChatRenderer(tokenizer)
    yes, no, _ = answer_tokens(renderer)
    rows, pairs, judged = [], [], []
    for number, (question, right, wrong) in enumerate(talks):
        sides = [renderer.trace([{"role": "user", "content": question}, {"role": "assistant", "content": reply}])
                 for reply in (right, wrong)]
        (ids, mask), (other, other_mask) = sides
        rows.append({"input_ids": ids, "labels": [token if on else -100 for token, on in zip(ids, mask, strict=True)]})
        start = mask.index(1)
        pairs.append({"prompt_ids": ids[:start], "chosen_ids": ids[start:], "chosen_mask": mask[start:],
                      "rejected_ids": other[start:], "rejected_mask": other_mask[start:]})
        judged += [{"input_ids": [*side, token], "labels": [-100] * len(side) + [token], "answer": answer, "submitted": True,
                    "dataset": "medcalcbench", "task_id": f"t{number}"}
                   for side, token, answer in ((ids, yes, YES), (other, no, NO))]
    for kind, body in (("sft", rows), ("dpo", pairs), ("verifier", judged)):
        card = Card(kind=kind, digest=rows_digest(body), rows=len(body), tokens=0, trained_tokens=0,
                    tokenizer=tokenizer_digest(tokenizer), options={"profile": "nano"})
        write_rows(folder / f"{kind}.jsonl", body, card)
    make_rounds(folder / "rounds", pairs, len(tokenizer))


def make_rounds(folder: Path, pairs: list[dict[str, Any]], vocabulary: int) -> None:
    """Twelve rounds of four groups, half of a group right, one group with fewer rollouts; the engine's logprobs are about those of
    random weights."""
    from medcopilot.rl.dumps import write_round
    from medcopilot.rl.rounds import Round, Row

    rng = random.Random(1)
    for number in range(12):
        rows = []
        for group, pair in enumerate(rng.sample(pairs, 4)):
            for sample in range(8 if group < 3 else 5):  # processes have different numbers of rows
                side = "chosen" if sample % 2 else "rejected"
                mask = [0] * len(pair["prompt_ids"]) + pair[f"{side}_mask"]
                logprobs = [on * (rng.gauss(0, 0.1) - math.log(vocabulary)) for on in mask]
                right = float(sample % 2)
                rows.append(Row(pair["prompt_ids"] + pair[f"{side}_ids"], mask, logprobs, 2 * right - 1, right, group, f"t{group}"))
        write_round(folder, number, 0, 1, Round(rows, len(rows)), len(rows))


def command(folder: Path, stage: str, run: str, config: str | None, *overrides: str, steps: int = 3, flags: tuple[str, ...] = (),
            script: Path | None = None) -> list[str]:
    """The command that starts a stage: through `accelerate launch --config_file accelerate_configs/ci/<config>.yaml`, or alone."""
    launcher = ["-m", "accelerate.commands.accelerate_cli", "launch", *flags,
                "--config_file", f"accelerate_configs/ci/{config}.yaml"]
    settings = [text.format(folder=folder) for text in (*STAGES[stage].overrides, *COMMON)]
    return [sys.executable, *(launcher if config else []), str(script or f"recipes/{stage}.py"), "--config",
            f"recipes/nano/{stage}.yaml", "--max-steps", str(steps), f"run={folder / run}", *settings,
            *(() if config else STAGES[stage].alone), *overrides]


def start(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as handle:
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=handle, stderr=handle)


def finish(words: list[str], log: Path, code: int = 0, seconds: float = 180) -> str:
    """Run to the end, `seconds` at most. Returns what was said."""
    process = start(words, log)
    try:
        process.wait(seconds)
    finally:
        end(process)
    said = log.read_text(errors="replace")
    assert process.returncode == code, f"exit code {process.returncode}\n{said[-4000:]}"
    return said


def run_here(words: list[str]) -> None:
    """The same of a command that starts one process, in this one: it has imported everything already."""
    before = sys.argv
    sys.argv = words[1:]
    try:
        with contextlib.chdir(ROOT), pytest.raises(SystemExit) as done:
            runpy.run_path(words[1], run_name="__main__")
    finally:
        sys.argv = before
    assert done.value.code == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop a launch that is still there, with its processes."""
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def ranks(process: subprocess.Popen[bytes]) -> dict[str, psutil.Process]:
    """The launch's processes by rank."""
    return {child.environ()["RANK"]: child for child in psutil.Process(process.pid).children(recursive=True)
            if "LOCAL_RANK" in child.environ()}


def wait_for(found: Any, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    """Until `found()` is true while the launch runs."""
    deadline = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-4000:]
        time.sleep(0.02)


def losses(folder: Path, run: str, stage: str) -> list[float]:
    """Per step, from the metrics; every step must have been written once."""
    rows = [json.loads(line) for line in (folder / run / "metrics" / f"{stage}.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    return [row["loss"] for row in rows]
