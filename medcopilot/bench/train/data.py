"""Rows for the benchmark: random tokens, with the lengths of real trajectories and loss where an agent's turns would be.

Promises: seeded; the last token of every row is sampled, the first is not; about 35 % of all tokens carry loss.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from medcopilot.bench.lengths import draw_lengths
from medcopilot.bench.train.cases import Scale
from medcopilot.rl.advantages import group_advantages
from medcopilot.rl.rounds import Row
from medcopilot.train.batches import IGNORE
from medcopilot.train.packing import best_fit

OPENING, TURNS, SAMPLED = 0.4, 3, 0.35
"""The prompt's share of a row, how many turns follow, and what the policy says of the whole."""


def turns_mask(length: int) -> np.ndarray[Any, Any]:
    """(length,), 1 for sampled tokens: an opening, then an observation and an answer in every turn."""
    phase = (np.arange(length) / length - OPENING) / (1 - OPENING) * TURNS
    mask = (phase >= 0) & (phase % 1 >= 1 - SAMPLED / (1 - OPENING))
    mask[-1], mask[0] = True, False
    return mask.astype(np.int64)


def _lengths(count: int, scale: Scale, seed: int) -> list[int]:
    return [min(length, scale.line) for length in draw_lengths(count, seed, scale.length)]


def _ids(length: int, vocabulary: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    return rng.integers(3, vocabulary, length)


def sft_lines(scale: Scale, vocabulary: int, seed: int = 0) -> list[list[dict[str, np.ndarray[Any, Any]]]]:
    """The rows of each packed line of one step: `input_ids` and `labels`. Some of the lines that an epoch would have."""
    rng = np.random.default_rng(seed)
    lengths = _lengths(64 * scale.lines, scale, seed)
    lines = best_fit(lengths, scale.line, sorted(range(len(lengths)), key=lambda i: -lengths[i]))
    several = [line for line in lines if len(line) > 1]  # a row that fills a line by itself has nothing to be kept apart from
    found = []
    for line in (several[i] for i in rng.permutation(len(several))[: scale.lines]):
        rows = []
        for length in (lengths[i] for i in line):
            ids = _ids(length, vocabulary, rng)
            rows.append({"input_ids": ids, "labels": np.where(turns_mask(length) == 1, ids, IGNORE)})
        found.append(rows)
    return found


def pair_rows(scale: Scale, vocabulary: int, seed: int = 0) -> list[tuple[Row, Row]]:
    """Chosen and rejected of each pair: the same opening, answers of different lengths."""
    rng = np.random.default_rng(seed)
    lengths = _lengths(2 * scale.pairs, scale, seed + 1)
    pairs = []
    for one, other in zip(lengths[::2], lengths[1::2], strict=True):
        opening = _ids(int(OPENING * min(one, other)), vocabulary, rng)
        pairs.append(tuple(_row(length, vocabulary, rng, opening) for length in (one, other)))
    return pairs  # type: ignore[return-value]


def rollout_rows(scale: Scale, vocabulary: int, seed: int = 0) -> list[Row]:
    """Two groups of rollouts with outcomes and advantages; a group's rollouts share their opening."""
    rng = np.random.default_rng(seed)
    lengths = _lengths(scale.rollouts, scale, seed + 2)
    size = scale.rollouts // 2
    rows = []
    for group in range(2):
        part = lengths[group * size : (group + 1) * size]
        opening = _ids(int(OPENING * min(part)), vocabulary, rng)
        outcomes: list[float | None] = [float(number % 3 == 0) for number in range(size)]
        for length, outcome, advantage in zip(part, outcomes, group_advantages(outcomes), strict=True):
            row = _row(length, vocabulary, rng, opening)
            rows.append(row._replace(advantage=advantage, reward=outcome or 0.0, group=group))
    return rows


def _row(length: int, vocabulary: int, rng: np.random.Generator, opening: np.ndarray[Any, Any]) -> Row:
    ids = _ids(length, vocabulary, rng)
    ids[: len(opening)] = opening
    return Row(ids.tolist(), turns_mask(length).tolist(), [0.0] * length, 0.0)
