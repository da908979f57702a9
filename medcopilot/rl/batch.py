"""Rows as tensors: micro-batches that pad little, and the dictionary that TRL 1.16's GRPO loss reads.

Promises: token ids, mask and logprobs are the trace's own; observation tokens carry loss mask 0 (`tool_mask`); nothing is
padded on the left: the boundary between "prompt" and "completion" is the shortest prompt of the batch, and what lies between it
and a row's first sampled token is masked like an observation. So attention needs no mask beyond causality.
Does not cover: gathering counts over ranks (`trainer`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from medcopilot.rl.rounds import Row, blank


def split_rows(rows: list[Row], count: int) -> list[list[Row]]:
    """Exactly `count` micro-batches of rows of similar length, so that little is padded and none is much larger than the others.

    Fewer rows than micro-batches: the last ones hold a copy of the shortest row without loss.
    """
    ordered = sorted(rows, key=lambda row: len(row.ids))
    low, high = len(ordered[-1].ids), len(ordered[-1].ids) * len(ordered)
    while low < high:  # the smallest padded size that `count` micro-batches can keep to
        middle = (low + high) // 2
        if len(_pack(ordered, middle)) <= count:
            high = middle
        else:
            low = middle + 1
    parts = _pack(ordered, low)
    return parts + [[blank(ordered[0])]] * (count - len(parts))


def split_evenly(rows: list[Row], count: int, each: int) -> list[list[Row]]:
    """Exactly `count` micro-batches of `each` rows of similar length; copies of the shortest row without loss fill up.

    For losses that average over a micro-batch's rows: every row then weighs the same, wherever it is.
    """
    ordered = sorted(rows, key=lambda row: len(row.ids))
    ordered = [blank(ordered[0])] * (count * each - len(ordered)) + ordered
    return [ordered[start : start + each] for start in range(0, count * each, each)]


def _pack(ordered: list[Row], budget: int) -> list[list[Row]]:
    parts: list[list[Row]] = [[]]
    for row in ordered:
        if parts[-1] and len(row.ids) * (len(parts[-1]) + 1) > budget:
            parts.append([])
        parts[-1].append(row)
    return parts


def collate(rows: list[Row], pad_id: int) -> dict[str, Tensor]:
    """Rows side by side.

    Returns:
        `prompt_ids`, `prompt_mask` (B, P); `completion_ids`, `completion_mask`, `tool_mask`, `old_per_token_logps` (B, C);
        `advantages` (B,). Loss mask = completion_mask * tool_mask.
    """
    if not rows:
        raise ValueError("no rows to collate")
    split = min((row.mask.index(1) for row in rows if 1 in row.mask), default=1)
    if split < 1:
        raise ValueError("a rollout begins with a sampled token: nothing predicts it")
    width = max(len(row.ids) for row in rows) - split
    size = (len(rows), width)
    batch = {
        "prompt_ids": torch.tensor([row.ids[:split] for row in rows]),
        "prompt_mask": torch.ones(len(rows), split, dtype=torch.long),
        "completion_ids": torch.full(size, pad_id), "completion_mask": torch.zeros(size, dtype=torch.long),
        "tool_mask": torch.zeros(size, dtype=torch.long), "old_per_token_logps": torch.zeros(size),
        "advantages": torch.tensor([row.advantage for row in rows], dtype=torch.float32),
    }
    for index, row in enumerate(rows):
        length = len(row.ids) - split
        batch["completion_ids"][index, :length] = torch.tensor(row.ids[split:])
        batch["completion_mask"][index, :length] = 1
        batch["tool_mask"][index, :length] = torch.tensor(row.mask[split:])
        batch["old_per_token_logps"][index, :length] = torch.tensor(row.logprobs[split:])
    return batch


def per_episode(advantages: Tensor, lengths: Tensor, tokens: Tensor, rollouts: Tensor) -> Tensor:
    """Advantages under which a sum over tokens divided by all `tokens` is the mean over `rollouts` of each one's mean over tokens.

    Args:
        advantages: (B,).
        lengths: (B,), sampled tokens of each rollout.
        tokens: sampled tokens of all rollouts, on all ranks.
        rollouts: those that have any.
    """
    return advantages * (tokens / rollouts) / lengths.clamp(min=1)
