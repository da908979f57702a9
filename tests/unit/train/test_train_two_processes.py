"""Packed SFT and DPO on two CPU processes: the weights of one process that accumulates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from medcopilot.data.rows import Card, tokenizer_digest, write_rows
from medcopilot.train.config import StageConfig, dump_config
from medcopilot.train.dpo import run_dpo
from medcopilot.train.model import CheckpointMeta, NanoShape, load_checkpoint, new_nano, save_checkpoint
from medcopilot.train.settings import DpoConfig, ModelConfig, OptimizerConfig, SftConfig
from medcopilot.train.sft import run_sft

ROOT = Path(__file__).parents[3]
DESCENT = OptimizerConfig(name="sgd", lr=0.1, schedule="constant", warmup_steps=0)

pytestmark = pytest.mark.slow


def launch(stage: str, config: StageConfig, folder: Path) -> None:
    recipe = folder / f"{config.name}.yaml"
    recipe.write_text(dump_config(config))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, f"recipes/{stage}.py", str(recipe)], cwd=ROOT, env=environment, capture_output=True,
                          text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def same_weights(left: Path, right: Path) -> None:
    one, two = (dict(load_checkpoint(folder).model.named_parameters()) for folder in (left, right))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)


def test_packed_sft(tmp_path: Path, tokenizer_folder: Path, tokenizer: Any, sft_rows: list[dict[str, Any]],
                    tiny_shape: dict[str, int]) -> None:
    """Lines with different numbers of trained tokens: each token weighs the same on either rank."""
    data = tmp_path / "sft.jsonl"
    write_rows(data, sft_rows, Card(kind="sft", digest="", rows=len(sft_rows), tokens=0, trained_tokens=0,
                                    tokenizer=tokenizer_digest(tokenizer)))
    model = ModelConfig(tokenizer=str(tokenizer_folder), shape=NanoShape(**tiny_shape))
    common = {"run": tmp_path / "run", "data": data, "model": model, "max_steps": 3, "batch_tokens": 300, "bf16": False,
              "device": "cpu", "packing": True, "optimizer": DESCENT}
    one = SftConfig(name="one", accumulation=2, **common)
    two = SftConfig(name="two", **common)
    run_sft(one)
    launch("sft", two, tmp_path)
    same_weights(one.checkpoint, two.checkpoint)


def test_dpo(tmp_path: Path, tokenizer: Any, tiny_shape: dict[str, int]) -> None:
    """The ranks share one file of reference sums, in the order of the pairs."""
    parent = save_checkpoint(new_nano(tokenizer, NanoShape(**tiny_shape)), tokenizer, tmp_path / "parent",
                             CheckpointMeta(profile="nano"))
    rows = [{"prompt_ids": [5, 6, 7 + i], "chosen_ids": list(range(9, 14 + i)), "chosen_mask": [1, 0, *[1] * (3 + i)],
             "rejected_ids": list(range(30, 34 + 2 * i)), "rejected_mask": [1] * (4 + 2 * i)} for i in range(4)]
    data = tmp_path / "dpo.jsonl"
    write_rows(data, rows, Card(kind="dpo", digest="", rows=4, tokens=0, trained_tokens=0, tokenizer=tokenizer_digest(tokenizer)))
    common = {"data": data, "model": ModelConfig(checkpoint=str(parent)), "max_steps": 2, "batch_pairs": 1, "bf16": False,
              "device": "cpu", "optimizer": DESCENT, "nll": 0.0}
    one = DpoConfig(run=tmp_path / "one", accumulation=4, **common)
    two = DpoConfig(run=tmp_path / "two", accumulation=2, **common)
    run_dpo(one)
    launch("dpo", two, tmp_path)
    kept = [sorted((config.run / "cache").iterdir()) for config in (one, two)]
    assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
    same_weights(one.checkpoint, two.checkpoint)
