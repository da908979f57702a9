"""Training metrics on disk, as series to draw.

Promises: reads JSON lines with a `step` (or `global_step`) and numbers, the form that every trainer here writes; rows that are
torn or lack a step are passed over; series that matter to a reader come first.
Does not cover: drawing (`plots`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from env.errors import UserError

# what a reader looks for first; the rest follows alphabetically up to the limit
PREFERRED = ("loss", "eval_loss", "success", "success_rate", "held_out", "eval_success", "reward", "kl", "entropy",
             "value/explained_variance", "mean_token_accuracy", "rewards/accuracies", "rewards/margins", "groups/zero_variance",
             "rollouts/turns", "completions/mean_length", "episode_tokens")
_SKIP = {"step", "global_step", "epoch", "total_flos", "time", "timestamp", "seed", "learning_rate", "grad_norm", "num_tokens",
         "seconds", "tokens", "progress"}
# parts of a step of online training; what older runs wrote stands behind
_PARTS = (("waiting for rollouts", ("time/wait", "time/rollout")), ("update", ("time/update",)), ("weight sync", ("time/sync",)),
          ("evaluation", ("time/evaluate",)), ("other", ("time/other",)))


class Series(NamedTuple):
    """One measure over training: equal-length lists."""

    name: str
    steps: list[float]
    values: list[float]


def read_rows(source: Path | Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows of a metrics file, of every `*.jsonl` in a folder, or as given.

    Raises:
        UserError: no such file or folder.
    """
    if not isinstance(source, Path):
        return list(source)
    rows: list[Mapping[str, Any]] = []
    for path in sorted(source.glob("*.jsonl")) if source.is_dir() else [source]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UserError(f"{path}: training metrics cannot be read ({error.strerror}): check the path") from None
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                rows.append(row)
    return rows


def series(rows: Iterable[Mapping[str, Any]], limit: int = 6) -> list[Series]:
    """The most telling series, at most `limit`, each with at least two finite points."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        step = row.get("step", row.get("global_step"))
        if not _number(step):
            continue
        for name, value in row.items():
            if name not in _SKIP and _number(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(float(step))
                values.append(float(value))
    rank = {name: i for i, name in enumerate(PREFERRED)}
    names = sorted((name for name, (steps, _) in found.items() if len(steps) > 1),
                   key=lambda name: (rank.get(name.removeprefix("train_"), len(rank)), name))
    return [Series(name, *found[name]) for name in names[:limit]]


def split_of_time(rows: Iterable[Mapping[str, Any]]) -> list[Series]:
    """Seconds per step that each part of it took, over the rows that have all parts; empty for stages without rollouts."""
    rows = [row for row in rows if _number(row.get("step"))]
    names = {label: name for label, choices in _PARTS
             if (name := next((choice for choice in choices if any(_number(row.get(choice)) for row in rows)), None))}
    whole = [row for row in rows if all(_number(row.get(name)) for name in names.values())]
    if len(names) < 2 or len(whole) < 2:
        return []
    return [Series(label, [float(row["step"]) for row in whole], [float(row[name]) for row in whole])
            for label, name in names.items()]


def smooth(values: list[float]) -> list[float]:
    """Centred moving average over about a fifteenth of the curve (narrower at its ends): unlike a trailing one it does not lag."""
    half = max(1, len(values) // 30)
    sums = [0.0, *accumulate(values)]
    spans = [(max(0, i - half), min(len(values), i + half + 1)) for i in range(len(values))]
    return [(sums[end] - sums[start]) / (end - start) for start, end in spans]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
