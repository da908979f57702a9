"""Model FLOPs by hand, and the share of a device's peak."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM

from medcopilot.train import loop
from medcopilot.train.chunked_loss import chunked_logprobs
from medcopilot.train.config import StageConfig
from medcopilot.train.flops import FlopMeter, decoders, lengths, named_peak, peak_flops, shape_of
from medcopilot.train.tracking import Tracker

# per layer: q 16x16, k and v 16x8 each, o 16x16, three of 16x24; two layers; head 16 x 32
BODY, HEAD, ATTENTION = 2 * (256 + 128 + 128 + 256 + 3 * 384), 16 * 32, 2 * 2 * 8


def tiny(**changes: object) -> Qwen2ForCausalLM:
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=32, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                        num_key_value_heads=1, intermediate_size=24, max_position_embeddings=64,
                                        tie_word_embeddings=True, **changes))


def test_a_tiny_model_by_hand() -> None:
    model = tiny()
    assert shape_of(model)[:5] == (BODY, BODY, HEAD, HEAD, ATTENTION)
    meter = FlopMeter(model)
    model(input_ids=torch.zeros(3, 10, dtype=torch.long))
    with torch.no_grad():
        model(input_ids=torch.zeros(3, 10, dtype=torch.long))  # generation and reference models carry no gradient
    by_hand = 6 * (BODY + HEAD) * 30 + 12 * ATTENTION * 3 * 10 ** 2
    assert meter.take() == (by_hand, by_hand)
    assert meter.take() == (0, 0)


def test_seven_billion_parameters_by_hand() -> None:
    """Qwen2.5-7B on 8,192 tokens of one sequence: 6 N and the attention term of PaLM's appendix B."""
    with torch.device("meta"):
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=152_064, hidden_size=3584, num_hidden_layers=28, num_attention_heads=28,
                                             num_key_value_heads=4, intermediate_size=18_944, tie_word_embeddings=False))
    shape = shape_of(model)
    linear = 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18_944) + 3584 * 152_064
    assert shape.body + shape.head == linear == 7_070_285_824  # of 7.6 billion: without the embedding that is only looked up
    flops = shape.forward_backward(8192, 8192, 8192 ** 2)
    assert flops == 6 * linear * 8192 + 12 * 28 * 3584 * 8192 ** 2
    assert flops / 1.0 / named_peak("NVIDIA H100 80GB HBM3") == pytest.approx(0.4329, abs=1e-4)  # MFU if it took a second


def test_gradient_checkpointing_counts_for_the_device_not_for_the_model() -> None:
    model = tiny()
    meter = FlopMeter(model)
    model.gradient_checkpointing_enable()
    model.train()
    model(input_ids=torch.zeros(1, 10, dtype=torch.long)).logits.sum().backward()
    mfu, hfu = meter.take()
    assert mfu == 6 * (BODY + HEAD) * 10 + 12 * ATTENTION * 100
    assert hfu - mfu == 2 * BODY * 10 + 4 * ATTENTION * 100


def test_a_chunked_head_costs_what_its_positions_cost() -> None:
    model = tiny()
    meter = FlopMeter(model)
    hidden = model.model(input_ids=torch.zeros(1, 10, dtype=torch.long)).last_hidden_state[0]
    chunked_logprobs(hidden[:4], model.get_output_embeddings().weight, torch.zeros(4, dtype=torch.long))
    assert meter.take()[0] == 6 * BODY * 10 + 6 * HEAD * 4 + 12 * ATTENTION * 100
    meter.close()
    chunked_logprobs(hidden[:4], model.get_output_embeddings().weight, torch.zeros(4, dtype=torch.long))
    assert meter.take() == (0, 0)


def test_frozen_weights_need_no_gradient_of_their_own() -> None:
    wrapped = get_peft_model(tiny(), LoraConfig(r=2, target_modules=["q_proj"]))
    [model] = decoders(wrapped)
    adapters = 2 * (16 * 2 + 2 * 16)
    shape = shape_of(model)
    assert (shape.body, shape.body_trained, shape.head_trained) == (BODY + adapters, adapters, 0)
    assert shape.forward_backward(1, 0, 0) == 4 * (BODY + adapters) + 2 * adapters


def test_actor_and_critic_are_both_found() -> None:
    assert len(decoders(torch.nn.ModuleDict({"actor": tiny(), "critic": tiny()}))) == 2


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_packed_rows_cost_what_their_sequences_cost(sizes: list[int]) -> None:
    positions = torch.tensor([[position for size in sizes for position in range(size)]])
    tokens, squares = lengths(1, positions.shape[1], positions)
    assert (float(tokens), float(squares)) == (sum(sizes), sum(size ** 2 for size in sizes))


def test_padding_behind_a_mask_costs_nothing() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    assert [float(part) for part in lengths(2, 4, None, mask)] == [4, 10]
    assert lengths(2, 4, None, torch.ones(2, 1, 4, 4)) == (8, 32)


@pytest.mark.parametrize(("name", "peak"), [
    ("NVIDIA H100 80GB HBM3", 989.4e12), ("NVIDIA H100 PCIe", 756.5e12), ("NVIDIA A100-SXM4-80GB", 312e12),
    ("NVIDIA L40S", 362.05e12),
    ("NVIDIA L4", 121e12), ("NVIDIA GH200 480GB", 989.4e12), ("NVIDIA GeForce RTX 4090", 165.2e12), ("NVIDIA H200", 989.4e12),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("Tesla T4", None), ("", None)])
def test_the_peak_of_a_device(name: str, peak: float | None) -> None:
    assert named_peak(name) == peak


def test_no_peak_of_a_cpu() -> None:
    assert peak_flops(torch.device("cpu")) is None


def logged(tmp_path: Path, peak: float | None, logs: dict[str, float]) -> dict[str, float]:
    """The metric row after two steps that took 4 seconds."""
    config = StageConfig(run=tmp_path, name="toy", tracking={"tensorboard": False})
    horizon = loop.Horizon(8, None)
    progress = loop.Progress(config, horizon)
    model = tiny()
    progress.start(Tracker(config), model, torch.device("cpu"), 0)
    progress._peak = peak
    horizon.elapsed = lambda: 4.0
    model(input_ids=torch.zeros(3, 10, dtype=torch.long))
    progress.tokens = 30
    progress.on_log(None, SimpleNamespace(is_world_process_zero=True, global_step=2), None, {"loss": 1.0, **logs})
    progress.close()
    return json.loads(config.metrics.read_text().splitlines()[-1])


def test_a_metric_row_says_how_far_and_how_fast(tmp_path: Path) -> None:
    flops = 6 * (BODY + HEAD) * 30 + 12 * ATTENTION * 300
    row = logged(tmp_path, 1e6, {"time/update": 0.5})
    assert row["progress"] == 0.25
    assert row["speed/tokens_per_second"] == 7.5
    assert row["speed/update_tokens_per_second"] == 30.0
    assert row["speed/mfu"] == pytest.approx(flops / 4 / 1e6)
    assert row["speed/update_mfu"] == pytest.approx(flops / 1.0 / 1e6)


def test_without_a_peak_there_is_no_mfu(tmp_path: Path) -> None:
    row = logged(tmp_path, None, {})
    assert row["speed/tokens_per_second"] == 7.5
    assert not any("mfu" in name or "update" in name for name in row)
