"""Update steps on a GPU, from our own modules: finite, within the memory that their parts add up to, and what options save."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medcopilot.bench.train.cases import FULL, SIZES, STAGES, TINY, cases_of
from medcopilot.bench.train.measure import measure

pytestmark = pytest.mark.gpu
SMALL = FULL._replace(length=8, line=4096, lines=2, pairs=2, rollouts=8, micro_batches=4)
GIB = 2**30


def run(device: torch.device, stage: str, option: str = "base", size: str = "0.5b", scale: Any = SMALL) -> dict[str, Any]:
    case = next(case for case in cases_of(stage, size) if case.option == option)
    row = measure(case, scale, device, steps=2, warm=1)
    if row["status"] == "missing":
        pytest.skip(row["reason"])
    assert row["status"] == "ok", row
    return row


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("size", ["3b", "7b"])
def test_every_option_runs_at_toy_width(device: torch.device, stage: str, size: str) -> None:
    rows = [measure(case, TINY, device, steps=1, warm=0) for case in cases_of(stage, size)]
    assert [row for row in rows if row["status"] not in ("ok", "missing")] == []
    absent = {row["reason"] for row in rows if row["status"] == "missing"}
    assert absent <= {f"{package} is not installed" for package in ("flash-attn", "bitsandbytes", "peft")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_is_finite_and_within_bounds(device: torch.device, stage: str) -> None:
    """Weights, gradients and AdamW's two states in bfloat16; a starting policy; and room for a micro-batch."""
    row = run(device, stage)
    weights = 2 * row["parameters"]
    frozen = weights if row["options"]["reference"] else 0
    assert 4 * weights < row["peak_bytes"] < 4 * weights + frozen + 8 * GIB
    assert row["mfu"] is None or 0 < row["mfu"] < 1
    size = SIZES["0.5b"]
    assert row["parameters"] > size.layers * size.hidden**2


@pytest.mark.parametrize(("stage", "option"), [
    ("sft", "checkpointing=off"), ("dpo", "checkpointing=off"), ("grpo", "checkpointing=off"), ("ppo", "checkpointing=off"),
    ("sft", "chunked=off"), ("dpo", "chunked=off"), ("grpo", "chunked=off"), ("grpo", "reference=on")])
def test_what_an_option_saves_is_measured(device: torch.device, stage: str, option: str) -> None:
    assert run(device, stage, option)["peak_bytes"] > run(device, stage)["peak_bytes"]


@pytest.mark.parametrize("stage", STAGES)
def test_adapters_need_less_memory(device: torch.device, stage: str) -> None:
    assert run(device, stage, "lora=on")["peak_bytes"] < run(device, stage)["peak_bytes"]


def test_packed_lines_waste_nothing(device: torch.device) -> None:
    packed, padded = run(device, "sft"), run(device, "sft", "packing=off")
    assert packed["tokens"] == padded["tokens"]
    assert packed["padding"] == 0 < padded["padding"]


def test_running_out_of_memory_is_a_row_and_the_next_case_runs(device: torch.device) -> None:
    held = torch.empty(int(torch.cuda.mem_get_info()[0] - GIB), dtype=torch.uint8, device=device)
    case = cases_of("sft", "1.5b")[0]
    row = measure(case, SMALL, device, steps=1, warm=0)
    assert row["status"] == "oom"
    assert "out of memory" in row["reason"]
    del held
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    assert run(device, "sft")["status"] == "ok"
    assert torch.cuda.memory_allocated() - before < GIB // 4
