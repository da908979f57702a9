"""A lean decoder for Qwen2-architecture models: static key/value cache with one slot per conversation.

Promises: `extend` and `decode` compute exactly what the Hugging Face model computes (rounding apart) on a snapshot of its
weights that `refresh` takes; a slot's cache can be cut back, continued and copied; rows of a batch do not influence each
other beyond the rounding of batched matrix products.
Does not cover: sampling, scheduling, and every other architecture (`supports` says which models are served; sliding windows
and rotary schemes that depend on the sequence length are not).

Decoding uses `decode.c` on a CPU with a compiler. Elsewhere, and while reading prompts, attention is written out as two
batched matrix products and a softmax: at these sizes that is faster on a CPU than torch's fused kernel. With
`dtype=torch.bfloat16` only the linear layers are rounded; cache, attention, norms and logits stay in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from medcopilot.policies import compiled

CHUNK = 1024
"""Tokens of one conversation that go through the layers at once: bounds the memory of attention scores."""
SHORT = 256
"""Up to so many new tokens of a conversation are read by the compiled loop, which goes token by token: for longer ones the
batched products over whole prompts win."""


class Piece(NamedTuple):
    """New tokens of one slot: `ids` take the positions `start`, `start + 1`, ..."""

    slot: int
    start: int
    ids: list[int]


@dataclass
class _Layer:
    """Weights of one layer, packed: query, key and value in one matrix, gate and up in another."""

    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor
    norm_in: Tensor
    norm_mlp: Tensor


class _Rows(NamedTuple):
    """How a batch of single tokens reads the cache."""

    slots: Tensor  # (B,)
    span: int  # rows read in place, 0 = gather the rows of `slots`
    length: int  # cached positions read
    mask: Tensor  # (rows, 1, length), 0 or -inf


def supports(model: Any) -> bool:
    """Whether `KvDecoder` computes this model."""
    config = model.config
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    return (config.model_type == "qwen2" and rope in ("default", "linear", "yarn") and config.hidden_act == "silu"
            and all(kind == "full_attention" for kind in config.layer_types))


class KvDecoder:
    """Weights and cache. Not thread-safe: one thread calls it."""

    def __init__(self, model: Any, *, slots: int, capacity: int = 256, dtype: torch.dtype = torch.float32) -> None:
        if not supports(model):
            raise ValueError(f"KvDecoder serves Qwen2 with full attention, not {model.config.model_type!r}")
        config = model.config
        self.model = model
        self.dtype = dtype
        self.slots = slots
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.eps = config.rms_norm_eps
        self.device = model.get_input_embeddings().weight.device
        self._compiled = compiled.load() if self.device.type == "cpu" else None
        self.capacity = 0
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self.refresh()
        self.grow(capacity)

    @torch.no_grad()
    def refresh(self) -> None:
        """Take a new snapshot of the model's weights. What the cache holds was computed with the old ones."""
        base, head = self.model.get_decoder(), self.model.get_output_embeddings()
        low, full = self.dtype, torch.float32
        self._layers = []
        for layer in base.layers:
            attention, mlp = layer.self_attn, layer.mlp
            linears = (attention.q_proj, attention.k_proj, attention.v_proj)
            self._layers.append(_Layer(
                qkv=torch.cat([linear.weight for linear in linears]).to(low),
                qkv_bias=torch.cat([linear.bias for linear in linears]).to(low),
                out=attention.o_proj.weight.detach().to(low, copy=True),
                gate_up=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).to(low),
                down=mlp.down_proj.weight.detach().to(low, copy=True),
                norm_in=layer.input_layernorm.weight.detach().to(full, copy=True),
                norm_mlp=layer.post_attention_layernorm.weight.detach().to(full, copy=True)))
        self._embedding = base.embed_tokens.weight.detach().to(full, copy=True)
        self._norm = base.norm.weight.detach().to(full, copy=True)
        tied = head.weight is base.embed_tokens.weight and low == full
        self._head = self._embedding if tied else head.weight.detach().to(low, copy=True)

    @torch.no_grad()
    def grow(self, capacity: int) -> None:
        """Room for `capacity` positions per slot; what is cached stays."""
        if capacity <= self.capacity:
            return
        shape = (self.slots, self.kv_heads, capacity, self.head_dim)
        for caches in (self._keys, self._values):
            for index in range(len(self._layers)):
                bigger = torch.zeros(shape, device=self.device, dtype=torch.float32)
                if self.capacity:
                    bigger[:, :, : self.capacity] = caches[index]
                    caches[index] = bigger
                else:
                    caches.append(bigger)
        positions = torch.arange(capacity, device=self.device)[None]
        cos, sin = self.model.get_decoder().rotary_emb(torch.zeros(1, device=self.device, dtype=torch.float32), positions)
        self._cos, self._sin = cos[0], sin[0]
        self.capacity = capacity

    @torch.no_grad()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` cached positions from one slot to another."""
        for caches in (self._keys, self._values):
            for cache in caches:
                cache[target, :, :length] = cache[source, :, :length]

    @torch.no_grad()
    def extend(self, pieces: list[Piece]) -> Tensor:
        """Feed new tokens; logits after the last token of each piece, (B, vocabulary), float32."""
        self._make_room(max(piece.start + len(piece.ids) for piece in pieces))
        limit = 1 if self._compiled is None else SHORT
        short = [number for number, piece in enumerate(pieces) if len(piece.ids) <= limit]
        long = [number for number, piece in enumerate(pieces) if len(piece.ids) > limit]
        logits = torch.cat([read([pieces[number] for number in numbers])
                            for read, numbers in ((self._extend_short, short), (self._extend_long, long)) if numbers])
        return logits[torch.tensor(short + long, device=self.device).argsort()]

    def _extend_long(self, pieces: list[Piece]) -> Tensor:
        """Whole prompts as batched products."""
        last = []
        for piece in pieces:
            while len(piece.ids) > CHUNK:
                self._ragged([Piece(piece.slot, piece.start, piece.ids[:CHUNK])])
                piece = Piece(piece.slot, piece.start + CHUNK, piece.ids[CHUNK:])
            last.append(piece)
        batches, tokens = [[]], 0
        for piece in last:
            if tokens and tokens + len(piece.ids) > 4 * CHUNK:
                batches, tokens = [*batches, []], 0
            batches[-1].append(piece)
            tokens += len(piece.ids)
        return torch.cat([self._logits(self._ragged(batch)) for batch in batches])

    @torch.no_grad()
    def decode(self, slots: list[int], tokens: list[int], positions: list[int]) -> Tensor:
        """Feed one token to each of several slots; logits after it, (B, vocabulary), float32."""
        self._make_room(max(positions) + 1)
        index = torch.tensor(slots, device=self.device)
        where = torch.tensor(positions, device=self.device)
        hidden = self._embedding[torch.tensor(tokens, device=self.device)]
        if self._compiled is not None:
            return self._logits(self._decode_compiled(self._compiled, hidden, index, where))
        rows = self._rows(index, where)
        cos, sin = self._cos[where, None], self._sin[where, None]
        for number, layer in enumerate(self._layers):
            query, key, value = self._project(hidden, layer, cos, sin)
            self._keys[number][index, :, where] = key
            self._values[number][index, :, where] = value
            hidden = self._finish(hidden, self._attend(number, query, rows), layer)
        return self._logits(hidden)

    def _extend_short(self, pieces: list[Piece]) -> Tensor:
        """All tokens of all pieces as rows of one step: `decode.c` stores and reads the cache row after row, so that a token sees
        those before it."""
        if self._compiled is None:
            return self.decode([piece.slot for piece in pieces], [piece.ids[0] for piece in pieces], [p.start for p in pieces])
        lengths = torch.tensor([len(piece.ids) for piece in pieces])
        slots = torch.tensor([piece.slot for piece in pieces]).repeat_interleave(lengths)
        positions = torch.tensor([place for piece in pieces for place in range(piece.start, piece.start + len(piece.ids))])
        hidden = self._embedding[torch.tensor([token for piece in pieces for token in piece.ids])]
        return self._logits(self._decode_compiled(self._compiled, hidden, slots, positions)[lengths.cumsum(0) - 1])

    def _decode_compiled(self, c: compiled.Compiled, hidden: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        """One token per slot through the layers: matrix products by torch, everything between them by `decode.c`."""
        low = self.dtype
        for number, layer in enumerate(self._layers):
            packed = F.linear(c.norm(hidden, layer.norm_in, self.eps).to(low), layer.qkv, layer.qkv_bias).float()
            mixed = c.attend(packed, self._cos, self._sin, self._keys[number], self._values[number], slots, positions, self.heads)
            hidden = hidden + F.linear(mixed.to(low), layer.out)
            packed = F.linear(c.norm(hidden, layer.norm_mlp, self.eps).to(low), layer.gate_up).float()
            hidden = hidden + F.linear(c.gate(packed).to(low), layer.down)
        return hidden

    def _make_room(self, length: int) -> None:
        if length > self.capacity:
            self.grow(max(length, 2 * self.capacity))

    def _rows(self, index: Tensor, where: Tensor) -> _Rows:
        """Read the cache in place while most rows in the span are wanted: gathering rows would copy all they hold."""
        length = min(self.capacity, -(-(int(where.max()) + 1) // 16) * 16)
        span = int(index.max()) + 1
        if span > 3 * len(index):
            span = 0
        limits = where
        if span:
            limits = torch.zeros(span, dtype=torch.long, device=self.device)
            limits[index] = where
        mask = torch.zeros(len(limits), 1, length, device=self.device, dtype=torch.float32)
        mask.masked_fill_(torch.arange(length, device=self.device) > limits[:, None, None], float("-inf"))
        return _Rows(index, span, length, mask)

    def _project(self, hidden: Tensor, layer: _Layer, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, width) -> query (N, heads, d), key and value (N, kv_heads, d), rotated."""
        normed = F.rms_norm(hidden, hidden.shape[-1:], layer.norm_in, self.eps)
        packed = F.linear(normed.to(self.dtype), layer.qkv, layer.qkv_bias).float()
        packed = packed.view(len(hidden), -1, self.head_dim)
        turned, value = packed[:, : self.heads + self.kv_heads], packed[:, self.heads + self.kv_heads:]
        half = self.head_dim // 2
        turned = turned * cos + torch.cat((-turned[..., half:], turned[..., :half]), -1) * sin
        return turned[:, : self.heads] * self.head_dim ** -0.5, turned[:, self.heads:], value

    def _attend(self, index: int, query: Tensor, rows: _Rows) -> Tensor:
        """(B, heads, d) -> (B, heads * d): one query per slot against all its cached positions."""
        length, keys, values = rows.length, self._keys[index], self._values[index]
        if rows.span:
            count = rows.span
            keys, values = keys[:count], values[:count]
            query = query.new_zeros(count, *query.shape[1:]).index_copy_(0, rows.slots, query)
        else:
            count = len(query)
            keys, values = keys[rows.slots, :, :length], values[rows.slots, :, :length]
        flat = count * self.kv_heads
        group = self.heads // self.kv_heads
        keys, values = (cache.reshape(flat, -1, self.head_dim)[:, :length] for cache in (keys, values))
        scores = torch.bmm(keys, query.reshape(flat, group, self.head_dim).transpose(1, 2)).transpose(1, 2)
        weights = (scores.reshape(count, self.heads, length) + rows.mask).softmax(-1)
        mixed = torch.bmm(weights.view(flat, group, length), values).view(count, -1)
        return mixed[rows.slots] if rows.span else mixed

    def _ragged(self, pieces: list[Piece]) -> Tensor:
        """All pieces through the layers, side by side; hidden state of the last token of each, (B, width)."""
        ids = torch.tensor([token for piece in pieces for token in piece.ids], device=self.device)
        positions = torch.cat([torch.arange(p.start, p.start + len(p.ids), device=self.device) for p in pieces])
        ends = torch.tensor([len(piece.ids) for piece in pieces]).cumsum(0)
        hidden, cos, sin = self._embedding[ids], self._cos[positions, None], self._sin[positions, None]
        for index, layer in enumerate(self._layers):
            query, key, value = self._project(hidden, layer, cos, sin)
            mixed = torch.empty(len(hidden), self.heads * self.head_dim, device=self.device, dtype=torch.float32)
            for piece, end in zip(pieces, ends.tolist(), strict=True):
                own = slice(end - len(piece.ids), end)
                mixed[own] = self._attend_piece(index, piece, query[own], key[own], value[own])
            hidden = self._finish(hidden, mixed, layer)
        return hidden[(ends - 1).to(self.device)]

    def _attend_piece(self, index: int, piece: Piece, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Causal attention of one piece over what its slot holds and itself: (n, heads, d) -> (n, heads * d)."""
        count, stop = len(query), piece.start + len(query)
        self._keys[index][piece.slot, :, piece.start:stop] = key.transpose(0, 1)
        self._values[index][piece.slot, :, piece.start:stop] = value.transpose(0, 1)
        keys, values = (cache[index][piece.slot, :, :stop] for cache in (self._keys, self._values))
        group = self.heads // self.kv_heads
        grouped = query.transpose(0, 1).reshape(self.kv_heads, group * count, self.head_dim)
        scores = torch.bmm(grouped, keys.transpose(1, 2)).view(self.heads, count, stop)
        hidden = torch.ones(count, stop, dtype=torch.bool, device=self.device).triu_(piece.start + 1)
        weights = scores.masked_fill_(hidden, float("-inf")).softmax(-1).view(self.kv_heads, group * count, stop)
        return torch.bmm(weights, values).view(self.heads, count, self.head_dim).transpose(0, 1).reshape(count, -1)

    def _finish(self, hidden: Tensor, mixed: Tensor, layer: _Layer) -> Tensor:
        """Output projection and feed-forward, both with their residual."""
        hidden = hidden + F.linear(mixed.to(self.dtype), layer.out).float()
        normed = F.rms_norm(hidden, hidden.shape[-1:], layer.norm_mlp, self.eps)
        gate, up = F.linear(normed.to(self.dtype), layer.gate_up).chunk(2, -1)
        return hidden + F.linear(F.silu(gate) * up, layer.down).float()

    def _logits(self, hidden: Tensor) -> Tensor:
        normed = F.rms_norm(hidden, hidden.shape[-1:], self._norm, self.eps)
        return F.linear(normed.to(self.dtype), self._head).float()
