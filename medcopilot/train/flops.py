"""Model FLOPs of training, and the share of a device's peak that they are (MFU).

Per token that goes forward and backward, with N the weights of the linear layers (the head included, tied or not; an embedding
that is only looked up is no matrix product):

    forward 2 N, backward 2 N for activations and 2 N_trained for weights: 6 N when all weights are trained, 4 N under LoRA
    attention, per layer and sequence of T tokens: 12 T^2 x heads x head size, a third of it forward

MFU counts that. What gradient checkpointing computes a second time, another forward pass, is work of the device but not of the
model: HFU counts it as well (8 N, and 16 for 12) and equals MFU without checkpointing.
Source: Chowdhery et al. 2022 (arXiv 2204.02311), appendix B, whose attention term is not halved for causality; so it is in most
published figures. The denominator is the vendor's dense bfloat16 peak, whatever the run's own number format.

Promises: only tokens that carry a gradient count (no generation, no reference model); rows packed into one count their own
lengths when `position_ids` say so; padding counts unless an attention mask says where it is. Where the peak is not known, a CPU
above all, MFU is None: not reported. A head that is computed past its own module is counted when it says so (`projected`), as our
chunked one does; a fused kernel of a library does not, and the figure is then too low, never too high.
Does not cover: mixtures of experts, convolutions, several devices in one process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from medcopilot.train.flop_counts import PEAKS, Shape, named_peak

__all__ = ["PEAKS", "FlopMeter", "Shape", "decoders", "lengths", "named_peak", "peak_flops", "projected", "shape_of"]


def decoders(module: nn.Module) -> list[Any]:
    """The models of the transformers library in a module: itself, an adapter's base, actor and critic of a pair."""
    if isinstance(module, PreTrainedModel):
        return [module]
    return [found for child in module.children() for found in decoders(child)]


def shape_of(model: nn.Module) -> Shape:
    """Of a causal language model of the transformers library, adapters included. Sharded weights are counted whole."""
    config: Any = model.config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    head = _head(model)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear) and module is not head]
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Shape(
        body=sum(_size(module) for module in linear), body_trained=sum(_size(module) for module in linear if _trained(module)),
        head=_size(head) if head is not None else 0, head_trained=_size(head) if head is not None and _trained(head) else 0,
        attention=config.num_hidden_layers * config.num_attention_heads * size,
        recomputed=bool(getattr(model, "is_gradient_checkpointing", False)))


def _head(model: Any) -> nn.Linear | None:
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return head if isinstance(head, nn.Linear) else None


def _size(module: nn.Linear) -> int:
    return module.in_features * module.out_features  # a sharded weight has another shape, its module does not


def _trained(module: nn.Linear) -> bool:
    return bool(module.weight.requires_grad)


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s of the device by `PEAKS`; None for a CPU and for what the table lacks."""
    return named_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


class FlopMeter:
    """Counts what a model computes with gradients, by hooks on its decoder and its head: no trainer has to say anything.

    Counts stay on the device until they are read, so nothing waits for it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._shape: Shape | None = None  # read late: checkpointing is switched on when training begins
        self._body: list[Any] = []
        self._head: list[Any] = []
        decoder, head = model.get_decoder(), _head(model)
        self._weight = id(head.weight) if head is not None else 0
        _heads[self._weight] = self
        self._hooks = [decoder.register_forward_pre_hook(self._seen, with_kwargs=True)]
        if head is not None:
            self._hooks.append(head.register_forward_pre_hook(self._projected))

    def _seen(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            tokens = kwargs.get("input_ids", args[0] if args else None)
            tokens = kwargs["inputs_embeds"] if tokens is None else tokens
            self._body.append(lengths(tokens.shape[0], tokens.shape[1], kwargs.get("position_ids"), kwargs.get("attention_mask")))

    def _projected(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if args:
            self.project(args[0].numel() // args[0].shape[-1])

    def project(self, tokens: int) -> None:
        """So many tokens go through the head, with gradients unless they are switched off."""
        if torch.is_grad_enabled():
            self._head.append(tokens)

    def take(self) -> tuple[float, float]:
        """FLOPs since the last call: the model's, and with what was recomputed."""
        self._shape = self._shape or shape_of(self._model)
        tokens, squares = (sum(float(part[index]) for part in self._body) for index in (0, 1))
        head = sum(self._head)
        self._body, self._head = [], []
        return (self._shape.forward_backward(tokens, head, squares),
                self._shape.forward_backward(tokens, head, squares, recompute=True))

    def close(self) -> None:
        """Remove the hooks."""
        _heads.pop(self._weight, None)
        for hook in self._hooks:
            hook.remove()


_heads: dict[int, FlopMeter] = {}
"""By the identity of the head's weights, which a chunked loss has in its hands."""


def projected(weight: torch.Tensor, tokens: int) -> None:
    """Tell the meter of the model that these head weights belong to, if there is one, that tokens went through them."""
    if (meter := _heads.get(id(weight))) is not None:
        meter.project(tokens)


def lengths(rows: int, width: int, positions: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """Tokens, and the sum of squared lengths of their sequences.

    A sequence of T tokens has positions 0 .. T-1, and the sum of 2 t + 1 over them is T^2: so packed rows need no search for
    boundaries.

    Args:
        positions: (rows, width) from 0 in every sequence, or None.
        mask: (rows, width), 0 at padding, or None; masks of other shapes are not looked at.
    """
    known = mask if mask is not None and getattr(mask, "shape", None) == (rows, width) else None
    if positions is not None and tuple(positions.shape) == (rows, width):
        weights = known.double() if known is not None else torch.ones_like(positions, dtype=torch.float64)
        return weights.sum(), ((2 * positions.double() + 1) * weights).sum()
    if known is not None:
        each = known.double().sum(1)
        return each.sum(), (each ** 2).sum()
    return rows * width, rows * width * width
