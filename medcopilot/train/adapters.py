"""Low-rank adapters: peft's settings, quantised parents, the model without its adapter, and what is left when training is over.

Promises: the final checkpoint has the parent's shape and type, with the adapter merged. With `lora.quantize: nf4` (QLoRA) the
adapter is merged into the parent as it was stored, not into its 4-bit copy. While a model trains, `merge` gives its whole weights
without touching it, and `adapter_switch.switched_off` makes it the parent.
Does not cover: quantisation on a CPU, or under ZeRO-3 and FSDP.
Source: Dettmers et al. 2023 (arXiv 2305.14314).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from env.errors import UserError
from medcopilot.train.adapter_switch import adapted_layers
from medcopilot.train.model import load_checkpoint
from medcopilot.train.settings import LoraSettings, ModelConfig

ADAPTER = "default"
"""peft's name for the only adapter of a model."""


def peft_settings(config: ModelConfig) -> Any:
    """peft's configuration for LoRA, None without."""
    return None if config.lora is None else lora_config(config.lora)


def lora_config(settings: LoraSettings) -> Any:
    """peft's configuration."""
    from peft import LoraConfig

    return LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout,
                      target_modules=settings.targets, task_type="CAUSAL_LM")


def adapted(model: Any, settings: LoraSettings, key: str = "model.lora") -> Any:
    """The model with a new adapter on its linear layers, which alone is trained; at the start it changes nothing.

    The layers of `model` itself are replaced: whoever holds it sees the adapter too.

    Args:
        key: where the settings come from, for the refusal.

    Raises:
        UserError: an adapter would sit on embeddings or on the output head.
    """
    from peft import get_peft_model
    from transformers.integrations import is_deepspeed_zero3_enabled

    # ZeRO-3 wants one type of weights: peft would keep the adapter of a bfloat16 model in float32 (as TRL does it)
    made = get_peft_model(model, lora_config(settings), autocast_adapter_dtype=not is_deepspeed_zero3_enabled())
    layers = dict(adapted_layers(model))
    if model.get_output_embeddings() in layers.values() or not all(isinstance(layer.base_layer, torch.nn.Linear)
                                                                   for layer in layers.values()):
        raise UserError(f"{key}.targets: online stages adapt linear layers only, not embeddings or the output head: name others, "
                        "or take all-linear")
    return made


def merge(weights: Mapping[str, torch.Tensor], base: Any) -> dict[str, torch.Tensor]:
    """W + s B A for every adapted layer, added in float32, and all other weights as they are, under the parent's names.

    Args:
        weights: whole, by their names in `base`.
        base: the parent whose layers the adapter sits in; it is not changed.
    """
    layers = dict(adapted_layers(base))
    plain = {}
    for name, tensor in weights.items():
        owner, inside, rest = name.partition(".base_layer.")
        if ".lora_" in name:
            continue
        if inside and rest == "weight":
            a, b = (weights[f"{owner}.lora_{side}.{ADAPTER}.weight"].float() for side in "AB")
            tensor = (tensor.float() + layers[owner].scaling[ADAPTER] * (b @ a)).to(tensor.dtype)
        plain[f"{owner}.{rest}" if inside else name] = tensor
    return plain




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
