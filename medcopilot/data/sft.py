"""SFT rows: successful episodes as exact token ids with labels.

Promises: only episodes that the strict grader called a success; no two rows with the same ids; at most `per_task` rows per task;
under a limit, datasets take turns. Same traces and options, same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from medcopilot.agent.render import ChatRenderer
from medcopilot.data.choose import round_robin, shuffled
from medcopilot.data.sources import Tokenized, tokenize, usable
from medcopilot.trace import Trace

IGNORE = -100
"""Label of a token without loss."""


class SftOptions(BaseModel):
    """How rows are chosen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_length: int | None = Field(None, ge=2)
    """Longer episodes are left out."""
    per_task: int | None = Field(None, ge=1)
    limit: int | None = Field(None, ge=1)
    """Rows in all."""
    seed: int = 0


def sft_rows(traces: Iterable[Trace], renderer: ChatRenderer, options: SftOptions, skipped: Counter[str]) -> list[dict[str, Any]]:
    """Rows `input_ids`, `labels` (-100 = no loss) with their origin; what was left out is counted in `skipped`."""
    rows: list[dict[str, Any]] = []
    seen: set[tuple[int, ...]] = set()
    per_task: Counter[str] = Counter()
    for trace in shuffled(usable(traces, skipped), options.seed):
        if not trace.success:
            skipped["failed"] += 1
            continue
        episode = tokenize(trace, renderer)
        key = tuple(episode.ids)
        if options.max_length is not None and len(key) > options.max_length:
            skipped["too_long"] += 1
        elif not any(episode.mask):
            skipped["nothing_to_learn"] += 1
        elif key in seen:
            skipped["duplicate"] += 1
        elif options.per_task is not None and per_task[trace.task_id] >= options.per_task:
            skipped["per_task"] += 1
        else:
            seen.add(key)
            per_task[trace.task_id] += 1
            rows.append(_row(episode))
    chosen = round_robin(rows, options.limit)
    if len(chosen) < len(rows):
        skipped["limit"] += len(rows) - len(chosen)
    return chosen


def _row(episode: Tokenized) -> dict[str, Any]:
    labels = [token if on else IGNORE for token, on in zip(episode.ids, episode.mask, strict=True)]
    return {"input_ids": episode.ids, "labels": labels, **origin(episode)}


def origin(episode: Tokenized) -> dict[str, Any]:
    """Where a row comes from."""
    trace = episode.trace
    return {"dataset": trace.dataset, "task_id": trace.task_id, "trace_id": trace.id, "licence": trace.licence,
            "exact": episode.exact}
