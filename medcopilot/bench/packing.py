"""Packed against padded training batches: non-padding tokens per second of SFT steps on this machine.

Promises: the same rows, model, loss, optimiser and limit of tokens per batch in every arm; arms take turns in one run, so that what
else the machine does hits all alike; medians over the turns. The rows' lengths are those of the demo's 8,000 expert trajectories
(as quantiles, or from a file of rows); their content is random, which no time depends on.
Arms: `packed` (`train.packing`); `length-grouped`, transformers' own `group_by_length`: rows of similar length, padded, the same
number in every batch, namely as many as the limit always holds; `token budget` (`train.batches`), padded too, but with as many
rows as fit. `packing_speedup` is packed over length-grouped, each batch a step; `packing_speedup_same_step` counts as many tokens
per step for both, by accumulating; `packing_over_token_budget` is against our own padded batches.
Does not cover: accelerators (`medcopilot bench train`), other lengths than the given ones.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from medcopilot.bench.lengths import draw_lengths
from medcopilot.data.rows import read_rows
from medcopilot.train import attention
from medcopilot.train.batches import IGNORE, PadRight, SftRows, TokenBatches
from medcopilot.train.chunked_loss import compact_loss
from medcopilot.train.model import NanoShape, new_nano
from medcopilot.train.optim import make_optimizer
from medcopilot.train.packing import PackedBatches, PackRows, prepare_attention
from medcopilot.train.settings import OptimizerConfig

LIMIT, LONGEST = 2048, 448
"""Tokens per batch and per row, as in recipes/nano/sft.yaml."""
TRAINED = 0.35
"""Fraction of their tokens that carry loss."""
_WARM = 3
"""Turns that are not counted."""


class Vocabulary:
    """As much of a tokenizer as a new model asks for."""

    eos_token_id, pad_token_id = 2, 0

    def __len__(self) -> int:
        return 2048


class Arm(NamedTuple):
    """One way of making batches, with its model."""

    model: Any
    optimizer: torch.optim.Optimizer
    batches: Iterator[list[int]]
    collate: Callable[[Sequence[dict[str, torch.Tensor]]], dict[str, Any]]


class Turn(NamedTuple):
    """What one arm did in one turn."""

    tokens: int
    batches: int
    passes: float
    """Seconds of forward and backward passes, collating included."""
    updates: float
    """Seconds of optimiser steps."""


def demo_lengths(count: int, seed: int = 0) -> list[int]:
    """Lengths with the distribution of the demo's expert trajectories, those that its SFT leaves out excluded."""
    return [n for n in draw_lengths(count, seed) if n <= LONGEST]


def rows_of(lengths: Sequence[int]) -> SftRows:
    """Random rows of these lengths; the last tokens of each carry loss."""
    rng = np.random.default_rng(0)
    rows = []
    for length in lengths:
        ids = rng.integers(3, len(Vocabulary()), length)
        labels = np.where(np.arange(length) < (1 - TRAINED) * length, IGNORE, ids)
        rows.append({"input_ids": ids, "labels": labels})
    return SftRows(rows)


def make_arm(kind: str, lengths: Sequence[int]) -> Arm:
    """`packed`, `length-grouped` or `token budget`, as `medcopilot.train.sft` sets them up on a CPU."""
    model: Any = new_nano(Vocabulary(), NanoShape())  # type: ignore[arg-type]
    collate: Any
    if kind == "packed":
        collate = PackRows(0, prepare_attention(model, "auto", "cpu"), multiple=256)
        batches: Any = PackedBatches(lengths, LIMIT, total=10**9)
    else:
        model.set_attn_implementation(attention.register())
        if kind == "token budget":
            collate = PadRight(0, multiple=16, budget=LIMIT)
            batches = TokenBatches(lengths, LIMIT, total=10**9, multiple=16)
        else:
            collate = PadRight(0, multiple=16)
            batches = _length_grouped(lengths, LIMIT // max(lengths))
    return Arm(model.train(), make_optimizer(model, OptimizerConfig()), iter(batches), collate)


def _length_grouped(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    from transformers.trainer_pt_utils import LengthGroupedSampler

    generator = torch.Generator().manual_seed(0)
    while True:
        order = list(LengthGroupedSampler(rows, lengths=list(lengths), generator=generator))
        yield from (order[first : first + rows] for first in range(0, len(order), rows))


def take_turn(arm: Arm, rows: SftRows, lengths: Sequence[int], tokens: int) -> Turn:
    """Steps on at least so many non-padding tokens."""
    done = batches = 0
    passes = updates = 0.0
    while done < tokens:
        chosen = next(arm.batches)
        started = time.perf_counter()
        batch = arm.collate([rows[i] for i in chosen])
        rest = {name: value for name, value in batch.items() if name not in ("input_ids", "labels", "attention_mask")}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = compact_loss(arm.model, batch["input_ids"], batch["labels"], **rest)
        loss.backward()
        middle = time.perf_counter()
        arm.optimizer.step()
        arm.optimizer.zero_grad()
        passes, updates = passes + middle - started, updates + time.perf_counter() - middle
        done, batches = done + sum(lengths[i] for i in chosen), batches + 1
    return Turn(done, batches, passes, updates)


def measure(turns: int = 20, rows_file: Path | None = None) -> dict[str, Any]:
    """Tokens per second of every arm, and their ratios.

    Args:
        turns: of each arm, about 2,048 tokens each.
        rows_file: SFT rows to take the lengths from; None: the demo's.
    """
    if rows_file is None:
        lengths = demo_lengths(4000)
    else:
        lengths = [n for row in read_rows(rows_file, ("input_ids",)) if (n := len(row["input_ids"])) <= LONGEST]
    rows = rows_of(lengths)
    arms = {kind: make_arm(kind, lengths) for kind in ("packed", "length-grouped", "token budget")}
    taken: dict[str, list[Turn]] = {kind: [] for kind in arms}
    for _ in range(_WARM + turns):
        for kind, arm in arms.items():
            taken[kind].append(take_turn(arm, rows, lengths, int(0.9 * LIMIT)))
    return summarise({kind: some[_WARM:] for kind, some in taken.items()})


def summarise(taken: dict[str, list[Turn]]) -> dict[str, Any]:
    """The document, from every arm's turns."""
    passes = {kind: statistics.median(turn.passes / turn.tokens for turn in turns) for kind, turns in taken.items()}
    size = {kind: sum(turn.tokens for turn in turns) / sum(turn.batches for turn in turns) for kind, turns in taken.items()}
    update = statistics.median(turn.updates / turn.batches for turns in taken.values() for turn in turns)
    own = {kind: 1 / (passes[kind] + update / size[kind]) for kind in taken}
    same = {kind: 1 / (passes[kind] + update / size["packed"]) for kind in taken}
    document: dict[str, Any] = {
        f"SFT, {kind} batches": {"tokens_per_second": own[kind], "without_update": 1 / passes[kind], "tokens_per_batch": size[kind]}
        for kind in taken}
    document["packing_speedup"] = own["packed"] / own["length-grouped"]
    document["packing_speedup_same_step"] = same["packed"] / same["length-grouped"]
    document["packing_over_token_budget"] = own["packed"] / own["token budget"]
    return document
