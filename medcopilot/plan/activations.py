"""Bytes that one forward pass of a decoder leaves behind for its backward pass.

Counted operation by operation, as torch saves them for the modules of transformers (norms in float32, rotary embedding, gated
feed-forward), our attentions and our head. Notation: T padded tokens, h hidden, d head size, H query heads, K key heads, f
feed-forward, e bytes of a hidden state, c bytes of what linear layers compute in (autocast's bfloat16 where it is on).

    norm       its input in float32 (under bfloat16 a copy), 1 / root mean square; its result before the scale where the scale is
               trained. T h (4 + e) + 4 T
    linear     its input, where its weights are trained or an adapter sits on it; one tensor for all layers that read it, but one
               copy each where autocast or an adapter in float32 makes its own
    attention  queries, keys, values, results, and per token and head a log-sum; the squares of scores where no fused kernel runs
    gate       silu's input, its result, the other factor, the product: 4 T f c
    checkpoint the input of every layer alone: T h e; one layer at a time is computed again

Promises: the tests compare the sum with what autograd really holds, stage by stage (`measure`).
Does not cover: dropout, sliding windows; what a kernel allocates inside itself (`workspace` bounds the backward pass's own).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from medcopilot.plan.architecture import Architecture

Attention = Literal["square", "fused", "packed"]
"""`square`: `causal_bmm` on the CPU; `fused`: SDPA's and flash-attn's kernels; `packed`: rows of a line in groups."""
LONG = 1024
"""Tokens above which `train.attention` has no squares on the CPU either."""


class Batch(NamedTuple):
    """A micro-batch."""

    rows: int
    width: int
    """Padded tokens of a row; of a packed line all of them."""
    head: int
    """Tokens that go through the output head."""
    groups: tuple[tuple[int, int], ...] = ()
    """Of a packed line: rows that are computed together, and their padded width (`train.packed_attention`); empty: not known."""
    masked: bool = False
    """An attention mask comes with padded rows."""

    @property
    def tokens(self) -> int:
        return self.rows * self.width


class Numbers(NamedTuple):
    """In what a model computes, and what of it is trained."""

    weights: int
    """Bytes of a weight: 2 for bfloat16, 4 for float32."""
    autocast: bool
    trained: Literal["full", "lora", "none"]
    rank: int = 0
    targets: str | tuple[str, ...] = "all-linear"
    adapter: int = 4
    """Bytes of an adapter's weight."""
    attention: Attention = "fused"
    checkpointing: bool = False
    cuda: bool = True

    @property
    def compute(self) -> int:
        return 2 if self.autocast else self.weights

    @property
    def copies(self) -> bool:
        """Whether each linear layer casts its input for itself."""
        return self.weights == 4 and self.autocast

    @property
    def casts(self) -> bool:
        """Whether each adapter does: peft casts to float32, autocast back."""
        return self.copies or (self.adapter == 4 and self.compute == 2)


def norm(width: int, rows: int, numbers: Numbers) -> int:
    """Of an RMS norm over `rows` vectors of `width`."""
    return rows * (width * (4 + (numbers.weights if numbers.trained == "full" else 0)) + 4)


def _inputs(arch: Architecture, names: Sequence[str], width: int, tokens: int, numbers: Numbers) -> int:
    """The inputs that linear layers reading the same tensor keep."""
    if numbers.trained == "full":
        return tokens * width * numbers.compute * (len(names) if numbers.copies else 1)
    if numbers.trained == "none":
        return 0
    adapted = [matrix for matrix in arch.adapted(numbers.targets) if matrix.name in names]
    times = len(adapted) if numbers.casts else min(1, len(adapted))
    return tokens * numbers.compute * (width * times + len(adapted) * numbers.rank)


def attention(arch: Architecture, batch: Batch, numbers: Numbers) -> int:
    """Of the attention function, and of the output layer that reads its results."""
    tokens, c = batch.tokens, numbers.compute
    queries, keys = tokens * arch.queries * c, tokens * arch.keys * c
    read = _inputs(arch, ["o_proj"], arch.queries, tokens, numbers)
    logsum = 4 * tokens * arch.heads
    if numbers.attention == "packed":  # copies in groups, scattered back
        slots = sum(rows * width for rows, width in batch.groups) or tokens
        grouped = slots * arch.queries * c
        squares = sum(rows * width**2 for rows, width in batch.groups if width <= LONG)
        return 3 * grouped + read + (grouped + 4 * slots * arch.heads if numbers.cuda else arch.heads * squares * c)
    if numbers.attention == "square" and batch.width <= LONG:
        return 3 * queries + read + batch.rows * arch.heads * batch.width**2 * c
    masked = batch.masked and numbers.attention == "fused"
    repeated = numbers.attention == "square" or (masked and numbers.cuda)  # CUDA's kernels take a mask or few key heads, not both
    mask = batch.rows * batch.width**2 * c if masked else 0
    shared = queries if numbers.trained == "full" or (read and not numbers.casts) else 0  # the kernel keeps its results, too
    return 2 * queries + 2 * (queries if repeated else keys) + logsum + mask + read - shared


def layer(arch: Architecture, batch: Batch, numbers: Numbers) -> int:
    """Of one decoder layer that is not checkpointed."""
    tokens = batch.tokens
    found = 2 * norm(arch.hidden, tokens, numbers)
    if arch.query_norms:
        found += norm(arch.head_size, tokens * (arch.heads + arch.key_heads), numbers)
    found += _inputs(arch, ["q_proj", "k_proj", "v_proj"], arch.hidden, tokens, numbers) + attention(arch, batch, numbers)
    found += _inputs(arch, ["gate_proj", "up_proj"], arch.hidden, tokens, numbers)
    found += 3 * tokens * arch.feed_forward * numbers.compute
    return found + _inputs(arch, ["down_proj"], arch.feed_forward, tokens, numbers)


def cast_weights(arch: Architecture, numbers: Numbers) -> int:
    """Copies of float32 weights in bfloat16 that autocast keeps during a pass."""
    if not numbers.autocast:
        return 0
    if numbers.trained == "lora" and numbers.adapter == 4:
        adapter = 2 * arch.adapter(numbers.rank, numbers.targets)
        return adapter + (2 * arch.linear if numbers.weights == 4 else 0)
    return 2 * arch.linear if numbers.weights == 4 and numbers.trained == "full" else 0


def decoder(arch: Architecture, batch: Batch, numbers: Numbers) -> dict[str, int]:
    """Of all layers, the embedding and the last norm: `layers`, `outside`, and under checkpointing `layer`, one at a time."""
    tokens = batch.tokens
    once = layer(arch, batch, numbers)
    ids = 8 * tokens
    rotary = 2 * batch.width * arch.head_size * numbers.weights
    maps = 8 * tokens * arch.heads * 3 if numbers.attention == "packed" else 0
    outside = ids + norm(arch.hidden, tokens, numbers)
    if numbers.checkpointing:
        return {"layers": arch.layers * tokens * arch.hidden * numbers.weights, "outside": outside, "layer": once}
    shared = rotary + maps
    unreached = norm(arch.hidden, tokens, numbers) if numbers.trained == "lora" else 0  # nothing before it is trained
    return {"layers": arch.layers * once - unreached + cast_weights(arch, numbers), "outside": outside + shared, "layer": 0}


def head(arch: Architecture, batch: Batch, numbers: Numbers, rows: int | None, cast: bool = False) -> int:
    """Of the output head: hidden states of scored tokens, targets, and the table of logits where one chunk holds them all.

    Args:
        rows: tokens of a chunk of our head; None: TRL's kernel, which keeps no table.
        cast: hidden states and weights are first cast to float32.
    """
    scored = batch.head * (arch.hidden * (4 if cast else numbers.weights) + 8 + 4)
    scored += 4 * arch.embedding if cast and numbers.weights == 2 else 0
    return scored + (4 * batch.head * arch.vocabulary if rows is not None and batch.head <= rows else 0)


def head_workspace(arch: Architecture, batch: Batch, numbers: Numbers, rows: int | None) -> int:
    """What the head's backward pass holds at once: logits of a chunk, gradients of hidden states and of its weights in float32."""
    entries = min(batch.head, rows or 4096) * (arch.vocabulary if rows else 32_768)
    by_weight = arch.embedding * (4 + numbers.weights) if numbers.trained == "full" else 0
    return entries * (2 + 16 if rows else 2) + 4 * batch.head * arch.hidden + by_weight


def layer_workspace(arch: Architecture, batch: Batch, numbers: Numbers) -> int:
    """What the backward pass of one layer holds at once besides what was saved: gradients of the gate's three factors and of hidden
    states, and the largest weight's gradient."""
    tokens = batch.tokens
    largest = max(matrix.size for matrix in arch.matrices()) * numbers.weights if numbers.trained == "full" else 0
    return tokens * (3 * arch.feed_forward * numbers.compute + 2 * arch.hidden * 4) + largest
