"""Packed rows: every row once per epoch, and loss and gradients of the rows by themselves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_rows import LENGTHS, alone, compare, outcome, rows, tiny, trained

from env.errors import UserError
from medcopilot.data.rows import Card, tokenizer_digest, write_rows
from medcopilot.train.model import NanoShape, load_checkpoint
from medcopilot.train.packed_attention import Segments, packed
from medcopilot.train.packing import PackedBatches, PackRows, best_fit, prepare_attention
from medcopilot.train.settings import LoraSettings, ModelConfig, OptimizerConfig, SftConfig
from medcopilot.train.sft import run_sft

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=60)


@pytest.mark.parametrize("order", [range(7), (6, 2, 0, 5, 3, 1, 4)], ids=["as given", "permuted"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("wanted", ["auto", "sdpa"])
def test_a_packed_line_has_the_loss_and_gradients_of_its_rows(order: Any, checkpointing: bool, key_heads: int, wanted: str) -> None:
    data = rows()
    model = tiny(key_heads=key_heads).train()
    expected = alone(model, data, trained(data))
    if checkpointing:
        model.gradient_checkpointing_enable()
    style = prepare_attention(model, wanted, "cpu")
    line = PackRows(0, style, multiple=256 if wanted == "auto" else 1)([data[i] for i in order])
    compare(outcome(model, [line], trained(data)), expected)


def test_two_lines_add_up_to_their_rows() -> None:
    data = rows()
    model = tiny()
    expected = alone(model, data, trained(data))
    collate = PackRows(0, prepare_attention(model, "auto", "cpu"))
    compare(outcome(model, [collate(data[:3]), collate(data[3:])], trained(data)), expected)


def test_what_lies_beside_a_row_does_not_reach_it() -> None:
    data = rows()
    model = tiny().eval()
    collate = PackRows(0, prepare_attention(model, "auto", "cpu"))
    others = [{**row, "input_ids": (row["input_ids"] + 1) % 99} for row in data]
    inputs = [collate([*around[:3], data[3], *around[4:]]) for around in (data, others)]
    for batch in inputs:
        del batch["labels"]
    states = [model.base_model(**batch, use_cache=False).last_hidden_state[0] for batch in inputs]
    start = sum(LENGTHS[:3])
    assert torch.equal(states[0][start : start + LENGTHS[3]], states[1][start : start + LENGTHS[3]])
    assert not torch.allclose(states[0][:start], states[1][:start])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.sampled_from([1, 16]), st.sampled_from([1, 3]))
def test_attention_is_that_of_each_row(sizes: list[int], multiple: int, repeat: int) -> None:
    generator = torch.Generator().manual_seed(sum(sizes))
    shape = (sum(sizes), 5)
    qkv = [torch.randn(1, heads, *shape, generator=generator, requires_grad=True) for heads in (2 * repeat, 2, 2)]
    upstream = torch.randn(1, shape[0], 2 * repeat, 5, generator=generator)
    found, _ = packed(None, *qkv, None, 0.4, segments=Segments(sizes, multiple))
    rows = zip(*(x.split(sizes, dim=2) for x in qkv), strict=True)
    expected = torch.cat([torch.nn.functional.scaled_dot_product_attention(*row, is_causal=True, scale=0.4, enable_gqa=True)
                          for row in rows], dim=2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(*(torch.autograd.grad(x, qkv, upstream) for x in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_square_of_the_line_is_not_computed() -> None:
    segments = Segments([32] * 64)
    assert segments.squares() == 64 * 32**2  # 1 / 64 of the line's square
    mixed = Segments([100, 99, 50, 48, 10, 9, 8], multiple=1)
    assert mixed.squares() <= sum(n**2 for n in mixed.lengths) * 1.3


def test_long_rows_take_the_fused_kernel_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(1, 4, 90, 8), torch.randn(1, 2, 90, 8), torch.randn(1, 2, 90, 8)
    results = []
    for longest in (1024, 8):
        monkeypatch.setattr("medcopilot.train.attention.LONG", longest)
        results.append(packed(None, query, key, value, None, 0.3, segments=Segments([20, 50, 19, 1]))[0])
    torch.testing.assert_close(results[0], results[1])


def test_packed_attention_refuses_what_is_not_packed() -> None:
    x = torch.randn(1, 1, 4, 8)
    with pytest.raises(ValueError, match="packed training batches"):
        packed(None, x, x, x, None, 1.0)
    with pytest.raises(ValueError, match="packed training batches"):
        packed(None, x, x, x, None, 1.0, segments=Segments([3]))


def test_windows_are_refused() -> None:
    model = tiny()
    model.config.layer_types = ["sliding_attention"] * 2
    with pytest.raises(UserError, match="sliding-window"):
        prepare_attention(model, "auto", "cpu")


@settings(deadline=None)
@given(lengths, st.integers(20, 300), st.integers(0, 3), st.integers(0, 5))
def test_an_epoch_visits_every_row_once_within_the_budget(sizes: list[int], budget: int, seed: int, epoch: int) -> None:
    lines = PackedBatches(sizes, budget, epochs=1, seed=seed).epoch(epoch)
    assert sorted(itertools.chain.from_iterable(lines)) == list(range(len(sizes)))
    assert all(len(line) == 1 or sum(sizes[i] for i in line) <= budget for line in lines)


@settings(deadline=None)
@given(lengths, st.integers(20, 300), st.integers(1, 4))
def test_ranks_get_equally_many_lines_and_miss_nothing(sizes: list[int], budget: int, world: int) -> None:
    ranks = [PackedBatches(sizes, budget, epochs=1, seed=3, rank=rank, world=world) for rank in range(world)]
    assert len({len(rank) for rank in ranks}) == 1
    assert {i for rank in ranks for line in rank for i in line} == set(range(len(sizes)))


def test_order_is_seeded_and_changes_between_epochs() -> None:
    sizes = [i % 37 + 5 for i in range(300)]
    first, again, other = (PackedBatches(sizes, 100, epochs=2, seed=seed) for seed in (1, 1, 2))
    assert list(first) == list(again)
    assert list(first) != list(other)
    assert first.epoch(0) != first.epoch(1)


def test_best_fit_by_hand() -> None:
    # 7 -> A; 5 -> B; 4 -> B (1 left, tighter than a new bin); 3 -> A (full); 1 -> B (full); 11 is too long: a bin of its own
    assert best_fit([7, 5, 4, 3, 1, 11], 10, range(6)) == [[0, 3], [1, 2, 4], [5]]


def test_lines_are_nearly_full() -> None:
    sizes = [20 + i * 7 % 180 for i in range(2000)]
    lines = PackedBatches(sizes, 2048, epochs=1)
    assert sum(sizes) / (2048 * len(lines)) > 0.98


def config_of(tmp_path: Path, tokenizer_folder: Path, tokenizer: Any, data: list[dict[str, Any]], shape: dict[str, int]
              ) -> SftConfig:
    path = tmp_path / "sft.jsonl"
    write_rows(path, data, Card(kind="sft", digest="", rows=len(data), tokens=0, trained_tokens=0,
                                tokenizer=tokenizer_digest(tokenizer)))
    model = ModelConfig(tokenizer=str(tokenizer_folder), shape=NanoShape(**shape))
    return SftConfig(run=tmp_path / "run", data=path, model=model, max_steps=3, batch_tokens=512, log_steps=1, bf16=False,
                     device="cpu", packing=True, optimizer=OptimizerConfig(name="sgd", lr=0.1, schedule="constant", warmup_steps=0))


def test_a_packed_stage_is_the_padded_one(tmp_path: Path, tokenizer_folder: Path, tokenizer: Any, sft_rows: list[dict[str, Any]],
                                          tiny_shape: dict[str, int]) -> None:
    """With all rows in one batch both ways, three steps of plain descent end in the same weights."""
    config = config_of(tmp_path, tokenizer_folder, tokenizer, sft_rows[:6], tiny_shape)
    config = config.model_copy(update={"batch_tokens": 2048})
    results = [run_sft(config.model_copy(update={"name": name, "packing": packing}))
               for name, packing in (("packed", True), ("padded", False))]
    weights = [dict(load_checkpoint(result.checkpoint).model.named_parameters()) for result in results]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-5)
    assert results[0].loss == pytest.approx(results[1].loss, rel=1e-5)


def test_packing_with_lora_and_checkpointing_goes_through_trl(tmp_path: Path, tokenizer_folder: Path, tokenizer: Any,
                                                              sft_rows: list[dict[str, Any]], tiny_shape: dict[str, int]) -> None:
    config = config_of(tmp_path, tokenizer_folder, tokenizer, sft_rows, tiny_shape)
    parent = run_sft(config).checkpoint
    model = ModelConfig(checkpoint=str(parent), lora=LoraSettings(rank=4, alpha=8), gradient_checkpointing=True)
    result = run_sft(config.model_copy(update={"name": "lora", "model": model}))
    assert result.steps == 3
    assert result.loss is not None


def test_packing_and_rows_per_batch_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="remove batch_rows"):
        SftConfig(run=tmp_path, data=tmp_path, model=ModelConfig(tokenizer="t"), epochs=1, packing=True, batch_rows=1)
