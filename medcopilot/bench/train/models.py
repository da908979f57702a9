"""Models with random weights at real shapes, and their optimisers, for the benchmark.

Promises: bfloat16 weights, as our recipes of these sizes load them; adapters as in `LoraSettings`, in float32; what is not
installed raises `Missing` with its name, which becomes a row of the results and no failure.
Does not cover: loading checkpoints, quantised parents, sharding over several devices.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import nn

from medcopilot.bench.train.cases import Options, Size
from medcopilot.train.packing import prepare_attention

LORA = {"r": 32, "lora_alpha": 64, "lora_dropout": 0.0, "target_modules": "all-linear"}
"""The defaults of `train.settings.LoraSettings`, which needs pydantic."""
RATE = 1e-6


class Missing(Exception):
    """A package or a device feature that an option needs and this machine lacks."""


class Policy(NamedTuple):
    """A causal language model, and with adapters peft's wrapper of it."""

    model: Any
    wrapper: Any
    style: str
    """What packed batches hand to its attention (`train.packing`)."""

    def without_adapters(self) -> Any:
        """The context in which the model is the one that training started from."""
        return self.wrapper.disable_adapter() if self.wrapper is not None else contextlib.nullcontext()


def build(size: Size, options: Options, device: torch.device, *, frozen: bool = False, seed: int = 0) -> Policy:
    """A policy on the device, in training mode; `frozen`: without gradients, adapters and checkpointing.

    Raises:
        Missing: flash-attn, a kernel for it, or peft.
    """
    from transformers import AutoModelForCausalLM, Qwen2Config
    from transformers.utils import is_flash_attn_2_available

    if options.attention == "flash_attention_2" and not (device.type == "cuda" and is_flash_attn_2_available()):
        raise Missing("flash-attn is not installed" if device.type == "cuda" else "flash-attn needs a CUDA GPU")
    config = Qwen2Config(
        vocab_size=size.vocabulary, hidden_size=size.hidden, num_hidden_layers=size.layers, num_attention_heads=size.heads,
        num_key_value_heads=size.key_heads, intermediate_size=size.feed_forward, max_position_embeddings=32_768,
        tie_word_embeddings=size.tied, rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0}, bos_token_id=None,
        eos_token_id=1, pad_token_id=0)
    with torch.device(device), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    style = ""
    if options.packing:
        style = prepare_attention(model, options.attention, device.type)
    else:
        model.set_attn_implementation(options.attention)
    if frozen:
        return Policy(model.eval().requires_grad_(False), None, style)
    if options.checkpointing:
        model.gradient_checkpointing_enable()
    wrapper = _with_adapters(model) if options.lora else None
    model.train()
    return Policy(model, wrapper, style)


def _with_adapters(model: Any) -> Any:
    if importlib.util.find_spec("peft") is None:
        raise Missing("peft is not installed")
    from peft import LoraConfig, get_peft_model

    return get_peft_model(model, LoraConfig(**LORA, task_type="CAUSAL_LM"))


def make_optimizer(module: nn.Module, kind: str) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters; `kind` as in `Options.optimizer`.

    Raises:
        Missing: bitsandbytes.
    """
    parameters: Iterable[nn.Parameter] = [p for p in module.parameters() if p.requires_grad]
    if kind == "8bit":
        if importlib.util.find_spec("bitsandbytes") is None:
            raise Missing("bitsandbytes is not installed")
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(parameters, lr=RATE, weight_decay=0.0)  # type: ignore[no-any-return]
    flags = {"foreach": {"foreach": True}, "fused": {"fused": True}, "for-loop": {"foreach": False, "fused": False}}[kind]
    return torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, **flags)
