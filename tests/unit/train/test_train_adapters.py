"""Adapters: what is merged, and what QLoRA needs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from env.errors import UserError
from medcopilot.train.adapters import merged, merged_into_parent, peft_settings, quantization
from medcopilot.train.model import CheckpointMeta, NanoShape, load_checkpoint, new_nano, save_checkpoint
from medcopilot.train.policy import load_policy
from medcopilot.train.settings import LoraSettings, ModelConfig


@pytest.fixture
def config(tmp_path: Path, tokenizer: Any, tiny_shape: dict[str, int]) -> ModelConfig:
    folder = save_checkpoint(new_nano(tokenizer, NanoShape(**tiny_shape)), tokenizer, tmp_path / "parent", CheckpointMeta())
    return ModelConfig(checkpoint=str(folder), lora=LoraSettings(rank=4, alpha=8))


def test_merging_into_the_parent_read_again_is_merging_in_place(config: ModelConfig, tmp_path: Path) -> None:
    model = get_peft_model(load_checkpoint(config.checkpoint).model, peft_settings(config))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    expected = merged(copy.deepcopy(model), config, tmp_path).state_dict()
    found = merged_into_parent(model, config, tmp_path).state_dict()
    before = load_checkpoint(config.checkpoint).model.state_dict()
    assert found.keys() == expected.keys() == before.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])
    assert not torch.equal(before["model.layers.0.mlp.up_proj.weight"], found["model.layers.0.mlp.up_proj.weight"])


def test_four_bits_need_a_gpu_and_bitsandbytes(config: ModelConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert quantization(config) is None
    quantized = ModelConfig(checkpoint=config.checkpoint, lora=LoraSettings(quantize="nf4"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs a CUDA GPU") as caught:
        load_policy(quantized, 0)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="bitsandbytes"):
        load_policy(quantized, 0)


def test_random_weights_are_not_quantised() -> None:
    with pytest.raises(ValueError, match=r"set model\.checkpoint"):
        ModelConfig(tokenizer="t", lora=LoraSettings(quantize="nf4"))
