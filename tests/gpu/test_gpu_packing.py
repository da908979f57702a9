"""Packed rows on a GPU: the loss and the gradients of the rows by themselves, whatever attention computes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from packed_rows import alone, compare, outcome, rows, tiny, trained
from transformers.utils import is_flash_attn_2_available

from medcopilot.train.packing import PackRows, prepare_attention

pytestmark = pytest.mark.gpu
SIZES = (9, 31, 1, 2, 30, 64, 12, 100, 97)


def packed(model: Any, wanted: str, data: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    style = prepare_attention(model, wanted, "cuda")
    return outcome(model, [PackRows(0, style, multiple=64)(data[:5]), PackRows(0, style)(data[5:])], trained(data))


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("wanted", ["packed", "sdpa"])
def test_in_float32_packed_rows_are_the_rows(device: torch.device, wanted: str, key_heads: int) -> None:
    data = rows(SIZES)
    model = tiny(key_heads=key_heads).to(device).train()
    expected = alone(model, data, trained(data))
    compare(packed(model, wanted, data), expected, tolerance=1e-4)


@pytest.mark.parametrize("wanted", ["packed", "sdpa", "flash_attention_2"])
def test_in_bfloat16_packed_rows_are_the_rows(device: torch.device, wanted: str) -> None:
    """Against float32 on the same weights: packed rows are about as far from it as the rows by themselves."""
    if wanted == "flash_attention_2" and not is_flash_attn_2_available():
        pytest.skip("flash-attn is not installed")
    data = rows(SIZES)
    model = tiny(heads=4, key_heads=2).to(device, torch.bfloat16).train()
    unpacked = alone(model, data, trained(data))
    found = packed(model, wanted, data)
    exact = alone(model.float(), data, trained(data))
    assert found["loss"].item() == pytest.approx(exact["loss"].item(), rel=1e-2)
    largest = max(gradient.norm().item() for gradient in exact.values())
    for name, gradient in exact.items():
        errors = [(part[name].float() - gradient).norm().item() for part in (found, unpacked)]
        assert errors[0] <= 3 * errors[1] + 2e-2 * gradient.norm().item() + 2e-3 * largest, f"{name}: {errors}"


def test_auto_takes_the_variable_length_kernel_where_there_is_one(device: torch.device) -> None:
    style = prepare_attention(tiny().to(device), "auto", device.type)
    assert style == ("varlen" if is_flash_attn_2_available() else "packed")


def test_a_long_packed_line_needs_no_square(device: torch.device) -> None:
    """Forward and backward over 16,384 tokens of short rows, in far less memory than a table of all pairs would take."""
    model = tiny(heads=4, key_heads=2).to(device, torch.bfloat16).train()
    data = rows((128,) * 128)
    line = PackRows(0, prepare_attention(model, "packed", "cuda"))(data)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    outcome(model, [line], trained(data))
    assert torch.cuda.max_memory_allocated() - before < 16_384**2
