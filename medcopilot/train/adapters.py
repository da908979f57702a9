"""Low-rank adapters: peft's settings, quantised parents, and what is left when training is over.

Promises: the final checkpoint has the parent's shape and type, with the adapter merged. With `lora.quantize: nf4` (QLoRA) the
adapter is merged into the parent as it was stored, not into its 4-bit copy.
Does not cover: quantisation on a CPU, or under ZeRO-3 and FSDP.
Source: Dettmers et al. 2023 (arXiv 2305.14314).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

from env.errors import UserError
from medcopilot.train.model import load_checkpoint
from medcopilot.train.settings import ModelConfig


def peft_settings(config: ModelConfig) -> Any:
    """peft's configuration for LoRA, None without."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(r=config.lora.rank, lora_alpha=config.lora.alpha, lora_dropout=config.lora.dropout,
                      target_modules=config.lora.targets, task_type="CAUSAL_LM")


def quantization(config: ModelConfig) -> Any:
    """transformers' configuration of the 4-bit parent, None without.

    Raises:
        UserError: no GPU, or bitsandbytes is not installed.
    """
    if config.lora is None or config.lora.quantize is None:
        return None
    if not torch.cuda.is_available():
        raise UserError("model.lora.quantize: nf4 needs a CUDA GPU and there is none here: remove the key; LoRA trains without it")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("model.lora.quantize: nf4 needs the package bitsandbytes: `pip install bitsandbytes`, or remove the key")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=torch.bfloat16)


def merged(model: Any, config: ModelConfig, work: Path) -> Any:
    """The plain model with the adapter of a peft model in its weights.

    Args:
        work: folder for the adapter of a quantised model, which is merged into its parent, read again.
    """
    if config.lora is None or config.lora.quantize is None:
        return model.merge_and_unload()
    return merged_into_parent(model, config, work)


def merged_into_parent(model: Any, config: ModelConfig, work: Path) -> Any:
    """As `merged`, whatever the parent's copy under the adapter looks like by now."""
    from peft import PeftModel

    assert config.checkpoint is not None
    model.save_pretrained(work / "adapter")
    parent = load_checkpoint(config.checkpoint, dtype=config.dtype).model
    return PeftModel.from_pretrained(parent, str(work / "adapter")).merge_and_unload()
