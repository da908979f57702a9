"""Causal attention that is fast for small models on a CPU.

Promises: the same function as transformers' causal attention for right-padded batches trained from position 0 (padding sits
after every real token, so causality alone hides it). One fused multiply-add for scores and mask, one softmax, one product.
Does not cover: left padding, packed rows, key-value caches: use `sdpa` or `eager` there.
"""

from __future__ import annotations

from typing import Any

import torch

NAME = "causal_bmm"


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
    batch, heads, tokens, size = query.shape
    if key.shape[1] != heads:
        key, value = (x.repeat_interleave(heads // key.shape[1], dim=1) for x in (key, value))
    flat = (batch * heads, tokens, size)
    dtype = value.dtype
    mask = torch.full((tokens, tokens), float("-inf"), dtype=dtype, device=query.device).triu_(1)
    scores = torch.baddbmm(mask, query.to(dtype).reshape(flat), key.to(dtype).reshape(flat).transpose(1, 2), alpha=scaling)
    out = torch.bmm(torch.softmax(scores, dim=-1), value.reshape(flat))
    return out.view(batch, heads, tokens, size).transpose(1, 2), None


def register() -> str:
    """Make the function known to transformers under `NAME`, without a mask of its own. Returns the name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, causal_bmm)
    return NAME
