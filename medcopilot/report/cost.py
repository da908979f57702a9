"""What runs cost: tokens, US dollars, time. All temperatures of a run together.

Promises: a price or a count that is not known makes the cost unknown, never 0; a success that was not bought has no price.
Does not cover: where an episode's time went (`medcopilot.evaluation.summary.TimeSplit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medcopilot.evaluation.columns import Columns
from medcopilot.prices import Price, price_of
from medcopilot.report.stage import Stage


class Cost(NamedTuple):
    """One run; None where a record does not say."""

    name: str
    episodes: int
    successes: int
    prompt_tokens: int | None
    sampled_tokens: int | None
    dollars: float | None
    per_success: float | None
    seconds: float
    """Of an episode that is not masked, on average."""
    wall: float | None
    """From the first start to the last end, pauses between sessions included."""


def costs(stages: Sequence[Stage], prices: Mapping[str, Price]) -> list[Cost]:
    """One row per run."""
    rows = []
    for stage in stages:
        parts = [stage.columns, *stage.hotter.values()]
        prompt, sampled = _total(parts, "prompt_tokens"), _total(parts, "completion_tokens")
        price = price_of(prices, str(stage.columns.policy[0])) if len(stage.facts["policy"]) == 1 else None
        dollars = price.of(prompt, sampled) if price is not None and prompt is not None and sampled is not None else None
        successes = sum(int((part.strict == 1.0).sum()) for part in parts)
        seconds, started = (np.concatenate([part.measure(name) for part in parts]) for name in ("seconds", "started"))
        timed = started > 0
        wall = float((started + seconds)[timed].max() - started[timed].min()) if timed.any() else None
        rows.append(Cost(stage.name, len(seconds), successes, prompt, sampled, dollars,
                         dollars / successes if dollars is not None and successes else None, _mean(parts), wall))
    return rows


def _total(parts: Sequence[Columns], name: str) -> int | None:
    totals = [part.total(name) for part in parts]
    return None if None in totals else sum(count or 0 for count in totals)


def _mean(parts: Sequence[Columns]) -> float:
    seconds = np.concatenate([part.measure("seconds")[part.played] for part in parts])
    return float(seconds.mean()) if len(seconds) else 0.0
