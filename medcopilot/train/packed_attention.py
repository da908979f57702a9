"""Causal attention inside each row of a packed batch.

Promises: tokens attend to earlier tokens of their own row only, whatever lies beside it; rows of similar length are computed
together, so the work grows with the squares of the rows' lengths, never with the square of the packed length; fewer key heads
than query heads are served. One implementation for every device: on accelerators each group is one fused attention call, on the
CPU one batched product.
Does not cover: sliding windows, attention dropout, caches, left padding. With flash-attn installed, transformers' own variable
length path is used instead (`medcopilot.train.packing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from medcopilot.train.attention import causal

NAME = "packed"
SIMILAR = 0.75
"""A row joins a group when it is at least this fraction of the group's longest: at worst 1 / 0.75 ** 2 of the work is spent on
padding, and a batch has few groups."""


class _Maps(NamedTuple):
    """How (token, head) rows and grouped (row, head, position) rows correspond, for one number of heads."""

    grouped: Tensor
    """Of every grouped slot: its token x key heads + key head. Slots of padding repeat the last token of their row."""
    query: Tensor
    """The same with query heads."""
    flat: Tensor
    """Of every token and query head: its grouped slot."""
    padding: Tensor
    """Grouped slots that are padding."""


class Segments:
    """Where the rows of a packed batch lie, and which of them are computed together.

    Args:
        lengths: tokens of each row, in the order in which they lie.
        multiple: widths of groups are rounded up to this (the CPU's matrix library compiles a kernel per shape).
    """

    def __init__(self, lengths: Sequence[int], multiple: int = 1) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.groups = _similar(self.lengths, multiple)
        self._maps: dict[tuple[int, int, torch.device], _Maps] = {}

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def squares(self) -> int:
        """Pairs of positions that are computed, padding included."""
        return sum(len(rows) * width**2 for rows, width in self.groups)

    def maps(self, heads: int, key_heads: int, device: torch.device) -> _Maps:
        """Index tensors, kept for the other layers of the same batch."""
        key = (heads, key_heads, device)
        if key not in self._maps:
            self._maps[key] = _Maps(*(torch.from_numpy(part).to(device) for part in self._indices(heads, key_heads)))
        return self._maps[key]

    def _indices(self, heads: int, key_heads: int) -> tuple[np.ndarray, ...]:
        head = np.arange(heads)
        flat = np.empty((self.tokens, heads), dtype=np.int64)
        grouped, query, padding = [], [], []
        base = 0
        for rows, width in self.groups:
            place = np.arange(width)
            lengths = self.lengths[rows][:, None, None]
            token = self.starts[rows][:, None, None] + np.minimum(place, lengths - 1)
            grouped.append((token * key_heads + (head * key_heads // heads)[:, None]).ravel())
            query.append((token * heads + head[:, None]).ravel())
            slot = base + np.arange(len(rows) * heads * width).reshape(len(rows), heads, width)
            real = np.broadcast_to(place < lengths, slot.shape)
            flat.reshape(-1)[query[-1].reshape(slot.shape)[real]] = slot[real]
            padding.append(slot[~real])
            base += slot.size
        return np.concatenate(grouped), np.concatenate(query), flat.ravel(), np.concatenate(padding)


def _similar(lengths: np.ndarray, multiple: int) -> list[tuple[np.ndarray, int]]:
    """Rows of similar length with their padded width, longest first."""
    groups: list[tuple[np.ndarray, int]] = []
    order = np.argsort(-lengths, kind="stable")
    first = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or lengths[order[end]] < SIMILAR * lengths[order[first]] - multiple:
            groups.append((order[first:end], int(-(-lengths[order[first]] // multiple) * multiple)))
            first = end
    return groups


class _Group(torch.autograd.Function):
    """(token x key heads, size) -> (grouped slots, size). Gradients at padding are zero: nothing reads its results."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, flat: Tensor, repeat: int) -> Tensor:
        ctx.save_for_backward(flat)
        ctx.repeat = repeat
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        found = grad.index_select(0, ctx.saved_tensors[0])
        if ctx.repeat > 1:
            found = found.view(-1, ctx.repeat, found.shape[-1]).sum(1)
        return found, None, None, None


class _Scatter(torch.autograd.Function):
    """(grouped slots, size) -> (token x heads, size)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, maps: _Maps) -> Tensor:
        ctx.save_for_backward(maps.query, maps.padding)
        return x.index_select(0, maps.flat)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        query, padding = ctx.saved_tensors
        return grad.index_select(0, query).index_fill_(0, padding, 0), None


def packed(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float,
           segments: Segments | None = None, **_: Any) -> tuple[Tensor, None]:
    """Attention in the signature of transformers' attention functions.

    Args:
        query, key, value: (1, heads, tokens, head size); there may be fewer key heads.
        attention_mask: must be None.
        segments: the rows, given to the model's forward as an argument of this name.

    Returns:
        (1, tokens, heads, head size), and no weights.
    """
    if attention_mask is not None or segments is None or len(query) != 1 or query.shape[2] != segments.tokens:
        raise ValueError(f"attention {NAME!r} serves packed training batches only: one line of rows, described by `segments`")
    heads, tokens, size = query.shape[1:]
    key_heads = key.shape[1]
    maps = segments.maps(heads, key_heads, query.device)
    lines = [x.to(value.dtype).transpose(1, 2).reshape(-1, size) for x in (query, key, value)]
    parts = [_Group.apply(lines[0], maps.query, maps.flat, 1)]
    parts += [_Group.apply(x, maps.grouped, maps.flat, heads // key_heads) for x in lines[1:]]
    sizes = [len(rows) * heads * width for rows, width in segments.groups]
    results = []
    for (rows, width), *qkv in zip(segments.groups, *(part.split(sizes) for part in parts), strict=True):
        shape = (len(rows), heads, width, size)
        results.append(causal(*(x.view(shape) for x in qkv), scaling).reshape(-1, size))
    return _Scatter.apply(torch.cat(results), maps).view(1, tokens, heads, size), None


def register() -> str:
    """Make the function known to transformers under `NAME`, without a mask of its own. Returns the name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed)
    return NAME
