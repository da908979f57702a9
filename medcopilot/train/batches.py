"""Batches by token budget: rows of similar length together, so that little is padded.

Promises: every epoch visits every row once; batches hold at most `budget` padded tokens (a longer row makes a batch of its
own); the order depends on the seed and the epoch only; ranks take turns in it, so that what a step trains on is the same for one
process with more accumulation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

IGNORE = -100
"""Label of a token without loss."""


class TokenBatches(Sampler[list[int]]):
    """Row indices of one rank's batches, epoch after epoch, `total` of them."""

    def __init__(self, lengths: Sequence[int], budget: int, *, total: int | None = None, epochs: float | None = None, seed: int = 0,
                 rank: int = 0, world: int = 1, multiple: int = 1, most_rows: int | None = None) -> None:
        """
        Args:
            lengths: tokens of each row.
            budget: padded tokens per batch and rank.
            total: batches of this rank in all; None: as many as `epochs` holds.
            multiple: widths that batches are padded to.
            most_rows: rows per batch and rank at most.
        """
        self.lengths = np.asarray(lengths)
        self.widths = round_up(self.lengths, multiple)
        self.budget, self.seed, self.rank, self.world = budget, seed, rank, world
        self.most_rows = most_rows or len(self.lengths)
        self.per_epoch = max(1, -(-len(self.epoch(0)) // world))
        self.total = total if total is not None else max(1, round(self.per_epoch * (epochs or 1.0)))

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[list[int]]:
        ours = itertools.islice(self._all(), self.rank, None, self.world)
        return itertools.islice(ours, self.total)

    def _all(self) -> Iterator[list[int]]:
        """The batches of all ranks in their order, without end."""
        for number in itertools.count():
            yield from self.epoch(number)

    def epoch(self, number: int) -> list[list[int]]:
        """All ranks' batches of one epoch, shuffled."""
        rng = np.random.default_rng([self.seed, number])
        batches = self._batches(self.lengths * (1 + 0.05 * rng.random(len(self.lengths))))  # neighbours change between epochs
        return [batches[i] for i in rng.permutation(len(batches))]

    def _batches(self, jitter: np.ndarray) -> list[list[int]]:
        """All rows, each in one batch. `jitter`: their lengths, a little off."""
        batches: list[list[int]] = []
        current: list[int] = []
        longest = 0
        for index in np.argsort(jitter, kind="stable"):
            longest_then = max(longest, int(self.widths[index]))
            if current and (longest_then * (len(current) + 1) > self.budget or len(current) == self.most_rows):
                batches.append(current)
                current, longest_then = [], int(self.widths[index])
            current.append(int(index))
            longest = longest_then
        if current:
            batches.append(current)
        return batches


def round_up(value: Any, multiple: int) -> Any:
    """The next multiple, of a number or an array."""
    return -(-value // multiple) * multiple


class SftRows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows as tensors in memory: `input_ids` and `labels`, one entry per token."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = [{name: torch.tensor(row[name], dtype=torch.long) for name in ("input_ids", "labels")} for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.rows[index]


class PadRight:
    """Collates SFT rows: padding goes right, with label -100 and attention 0.

    With `budget`, batches come in few shapes: widths are multiples of `multiple` and empty rows fill up the budget. The CPU's
    matrix library compiles a kernel per shape, which costs more than the padding.
    """

    def __init__(self, pad_id: int, *, multiple: int = 1, budget: int | None = None) -> None:
        self.pad_id, self.multiple, self.budget = pad_id, multiple, budget

    def __call__(self, rows: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        width = round_up(max(len(row["input_ids"]) for row in rows), self.multiple)
        height = max(len(rows), self.budget // width) if self.budget else len(rows)
        ids = torch.full((height, width), self.pad_id)
        labels = torch.full((height, width), IGNORE)
        attention = torch.zeros((height, width), dtype=torch.long)
        for i, row in enumerate(rows):
            length = len(row["input_ids"])
            ids[i, :length], labels[i, :length], attention[i, :length] = row["input_ids"], row["labels"], 1
        return {"input_ids": ids, "labels": labels, "attention_mask": attention}
