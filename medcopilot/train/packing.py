"""Packing: rows laid end to end in one line, without padding and without seeing each other.

Promises: every epoch visits every row once; a line holds at most `budget` tokens (a longer row makes a line of its own) and is
filled by best fit, longest rows first; the order depends on the seed and the epoch only; ranks get the same number of lines.
Positions restart at every row, no row is a target of the one before it, and attention stays inside a row: through flash-attn's
variable-length kernel where that is installed, else through `packed_attention`. Loss and gradients are those of the unpacked rows.
Does not cover: models with sliding-window attention. With `attention: sdpa` or `eager` the mask is right but the square of the
line is computed.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from env.errors import UserError
from medcopilot.train import attention, packed_attention
from medcopilot.train.batches import IGNORE, TokenBatches, round_up
from medcopilot.train.packed_attention import Segments

FILLER = 64
"""Longest piece of padding at the end of a line: pieces are rows of their own, so that they cost little."""


class PackedBatches(TokenBatches):
    """Row indices of one rank's lines, epoch after epoch."""

    def _batches(self, jitter: np.ndarray) -> list[list[int]]:
        return best_fit(self.widths, self.budget, np.argsort(-jitter, kind="stable"))


def best_fit(lengths: Sequence[int], capacity: int, order: Sequence[int]) -> list[list[int]]:
    """Rows in bins: each goes where the least room is left over, into a new bin where it fits nowhere.

    Args:
        lengths: of each row; longer than `capacity`: a bin of its own.
        order: in which rows are placed; the fullest bins come of longest first.
    """
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []  # free tokens and number of the bins that are not full, ascending
    for index in order:
        length = int(lengths[index])
        at = bisect.bisect_left(room, (length, 0))
        if at < len(room):
            free, number = room.pop(at)
            bins[number].append(int(index))
        else:
            free, number = capacity, len(bins)
            bins.append([int(index)])
        if free - length > 0:
            bisect.insort(room, (free - length, number))
    return bins


class PackRows:
    """Collates SFT rows into one line.

    Args:
        style: what the model's attention wants besides positions; see `prepare_attention`.
        multiple: of tokens per line; the rest is padding without loss. The CPU's matrix library compiles a kernel per shape.
    """

    def __init__(self, pad_id: int, style: str, *, multiple: int = 1) -> None:
        self.pad_id, self.style, self.multiple = pad_id, style, multiple

    def __call__(self, rows: Sequence[dict[str, torch.Tensor]]) -> dict[str, Any]:
        lengths = [len(row["input_ids"]) for row in rows]
        used = sum(lengths)
        spare = round_up(used, self.multiple) - used
        lengths += [FILLER] * (spare // FILLER) + [spare % FILLER] * (spare % FILLER > 0)
        ids = torch.full((1, used + spare), self.pad_id)
        labels = torch.full((1, used + spare), IGNORE)
        ids[0, :used] = torch.cat([row["input_ids"] for row in rows])
        labels[0, :used] = torch.cat([row["labels"] for row in rows])
        segments = Segments(lengths, multiple=16 if self.multiple > 1 else 1)
        labels[0, segments.starts] = IGNORE  # nothing predicts a row's first token
        positions = torch.cat([torch.arange(length) for length in lengths])[None]
        batch = {"input_ids": ids, "labels": labels, "position_ids": positions}
        if self.style == packed_attention.NAME:
            batch["segments"] = segments
        elif self.style == "varlen":
            bounds = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
            batch |= {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": max(lengths), "max_length_k": max(lengths)}
        return batch


def prepare_attention(model: Any, wanted: str, device: str) -> str:
    """Give the model an attention that keeps packed rows apart. Returns the style for `PackRows`.

    Args:
        wanted: `model.attention` of the recipe. `auto` and `causal_bmm`: flash-attn on accelerators that have it, else `packed`.

        device: type of the device that trains, e.g. `cuda`.

    Raises:
        UserError: the model looks back through a window only.
    """
    from transformers.utils import is_flash_attn_2_available

    if "sliding_attention" in (getattr(model.config, "layer_types", None) or ()):
        raise UserError(f"model {model.config.model_type}: packing does not serve sliding-window attention: set packing: false")
    if wanted in ("auto", attention.NAME):
        wanted = "flash_attention_2" if device == "cuda" and is_flash_attn_2_available() else packed_attention.register()
    elif wanted == packed_attention.NAME:
        packed_attention.register()
    model.set_attn_implementation(wanted)
    if wanted == packed_attention.NAME:
        return packed_attention.NAME
    return "varlen" if wanted.startswith("flash_attention") else "positions"

