"""Preference pairs: of one task, a success against a failure that shares its opening.

Promises: the opening is the longest common token prefix that ends where the policy begins a turn in both; both sides keep their
per-token masks, so observations never count; at most `per_task` pairs per task, every failure in one pair and every success in
two at most; under a limit, datasets take turns. Same traces and options, same pairs.
Source: pairs with a shared opening, arXiv 2506.04405, section on preference data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import rank, round_robin, shuffled
from medcopilot.data.sft import origin
from medcopilot.data.sources import Tokenized, tokenize, usable
from medcopilot.trace import Trace

CHOSEN_USES = 2
"""How many pairs one success may serve."""


class PairOptions(BaseModel):
    """How pairs are chosen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_length: int | None = Field(None, ge=2)
    """Episodes that are longer are left out."""
    per_task: int = Field(2, ge=1)
    limit: int | None = Field(None, ge=1)
    """Pairs in all."""
    seed: int = 0


def pair_rows(traces: Iterable[Trace], renderer: ChatRenderer, options: PairOptions, skipped: Counter[str]) -> list[dict[str, Any]]:
    """Rows `prompt_ids`, `chosen_ids`, `rejected_ids`, `chosen_mask`, `rejected_mask` with their origin."""
    tasks: dict[str, list[Tokenized]] = {}
    for trace in shuffled(usable(traces, skipped), options.seed):
        episode = tokenize(trace, renderer)
        if options.max_length is not None and len(episode.ids) > options.max_length:
            skipped["too_long"] += 1
        elif not any(episode.mask):
            skipped["nothing_to_learn"] += 1
        else:
            tasks.setdefault(trace.task_id, []).append(episode)
    rows: list[dict[str, Any]] = []
    for task_id in sorted(tasks, key=lambda task_id: (rank(options.seed, task_id), task_id)):
        pairs = list(_pairs_of(tasks[task_id], options))
        if not pairs:
            skipped["task_without_contrast"] += 1
        rows.extend(pairs)
    chosen = round_robin(rows, options.limit)
    if len(chosen) < len(rows):
        skipped["limit"] += len(rows) - len(chosen)
    return chosen


def shared_opening(left: Tokenized, right: Tokenized) -> int | None:
    """Length of the longest common prefix that ends where the policy begins a turn in both; None when there is none."""
    common = 0
    for a, b in zip(left.ids, right.ids, strict=False):
        if a != b:
            break
        common += 1
    both = set(left.starts) & set(right.starts)
    return max((start for start in both if start <= common), default=None)


def _pairs_of(episodes: list[Tokenized], options: PairOptions) -> Iterator[dict[str, Any]]:
    """One task's pairs, longest shared opening first."""
    candidates = []
    for i, good in enumerate(episodes):
        for j, bad in enumerate(episodes):
            if good.trace.success and not bad.trace.success:
                opening = shared_opening(good, bad)
                if opening is not None and _counts(good, opening) and _counts(bad, opening):
                    candidates.append((-opening, i, j))
    uses: Counter[int] = Counter()
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    made = 0
    for negative, i, j in sorted(candidates):
        good, bad, start = episodes[i], episodes[j], -negative
        key = (tuple(good.ids), tuple(bad.ids))
        if made == options.per_task or uses[i] >= CHOSEN_USES or uses[~j] or key in seen:
            continue
        uses[i] += 1
        uses[~j] += 1
        seen.add(key)
        made += 1
        yield {"prompt_ids": good.ids[:start], "chosen_ids": good.ids[start:], "rejected_ids": bad.ids[start:],
               "chosen_mask": good.mask[start:], "rejected_mask": bad.mask[start:], **origin(good),
               "rejected_trace_id": bad.trace.id}


def _counts(episode: Tokenized, start: int) -> bool:
    """Something after the opening carries loss."""
    return any(episode.mask[start:])
