"""Planned bytes of weights, gradients, optimiser states and saved activations beside those of real steps at toy width."""

from pathlib import Path

import pytest

from medcopilot.plan.compare import LIMIT, table, toy_rows
from medcopilot.plan.recipe import read_recipe

ROOT = Path(__file__).resolve().parents[2]
OFF = "model.gradient_checkpointing=false"
CASES = [("nano/sft",), ("qwen2.5-7b/sft",), ("qwen2.5-7b/sft", OFF), ("qwen2.5-7b/paper-sft", OFF), ("qwen2.5-7b/sft-lora",),
         ("qwen2.5-7b/sft-lora", OFF), ("qwen2.5-7b/dpo",), ("qwen2.5-7b/dpo", OFF), ("qwen2.5-7b/verifier",), ("qwen2.5-7b/grpo",),
         ("qwen2.5-7b/grpo-lora", OFF), ("qwen2.5-7b/ppo",), ("qwen2.5-7b/ppo-lora", OFF), ("qwen3-8b/sft", OFF)]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_planned_bytes_are_the_measured_ones(workplace, case, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = toy_rows(read_recipe(ROOT / "recipes" / f"{case[0]}.yaml", case[1:]))
    print(f"\n{' '.join(case)}\n{table(rows)}")
    assert [row.part for row in rows] == ["weights", "gradients", "optimizer", "activations"]
    assert [row for row in rows if abs(row.off) > LIMIT] == []
    assert max(abs(row.off) for row in rows[:3]) < 0.001  # these are counted
