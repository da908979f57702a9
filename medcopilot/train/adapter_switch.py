"""Switching an adapter off, with torch alone.

Promises: nothing but torch is imported: the benchmark of update steps runs where little else is installed.
Does not cover: making and merging adapters (`medcopilot.train.adapters`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def switched_off(model: Any) -> Iterator[None]:
    """Inside, an adapted model computes what its parent does.

    By a scale of 0, not by peft's switch: that one takes the adapter's weights out of training and back in, which wrappers that
    shard them do not follow, and leaves their modules out of the forward pass that ZeRO-3 has learnt.
    """
    before = [(layer, dict(layer.scaling)) for _, layer in adapted_layers(model)]
    for layer, scales in before:
        layer.scaling.update(dict.fromkeys(scales, 0.0))
    try:
        yield
    finally:
        for layer, scales in before:
            layer.scaling.update(scales)


def adapted_layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Names and layers that have an adapter."""
    from peft.tuners.lora import LoraLayer

    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer))

