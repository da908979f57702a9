"""Causal attention that is fast for small models on a CPU.

Promises: the same function as transformers' causal attention for right-padded batches trained from position 0 (padding sits
after every real token, so causality alone hides it). One fused multiply-add for scores and mask, one softmax, one product; rows
too long for a square of scores go to torch's fused kernel.
Does not cover: left padding, key-value caches: use `sdpa` or `eager` there; packed rows (`packed_attention`).
"""

from __future__ import annotations

from typing import Any

import torch

NAME = "causal_bmm"
LONG = 1024
"""Tokens above which the square of scores is not worth its memory."""


def causal_bmm(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None,
               scaling: float, **_: Any) -> tuple[torch.Tensor, None]:
    """Attention in the signature of transformers' attention functions.

    Args:
        query, key, value: (batch, heads, tokens, head size); fewer key heads are repeated.
        attention_mask: must be None.

    Returns:
        (batch, tokens, heads, head size), and no weights.
    """
    if attention_mask is not None or query.shape[2] != key.shape[2]:
        raise ValueError(f"attention {NAME!r} serves right-padded training batches without a cache only")
    heads = query.shape[1]
    if key.shape[1] != heads:
        key, value = (x.repeat_interleave(heads // key.shape[1], dim=1) for x in (key, value))
    return causal(query, key, value, scaling).transpose(1, 2), None


def causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Causal attention of equally many heads: (rows, heads, tokens, head size) -> the same."""
    rows, heads, tokens, size = query.shape
    dtype = value.dtype
    query, key = query.to(dtype), key.to(dtype)
    if tokens > LONG or query.device.type != "cpu":
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    flat = (rows * heads, tokens, size)
    mask = torch.full((tokens, tokens), float("-inf"), dtype=dtype, device=query.device).triu_(1)
    scores = torch.baddbmm(mask, query.reshape(flat), key.reshape(flat).transpose(1, 2), alpha=scaling)
    return torch.bmm(torch.softmax(scores, dim=-1), value.reshape(flat)).view(query.shape)


def register() -> str:
    """Make the function known to transformers under `NAME`, without a mask of its own. Returns the name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, causal_bmm)
    return NAME
