"""How many rows a recipe trains on and how long they are: from its data file where it is there, else assumed.

Promises: which of the two is said in `source`.
Does not cover: contents.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from medcopilot.bench.lengths import QUANTILES
from medcopilot.jsonl import read_rows
from medcopilot.plan.architecture import Architecture
from medcopilot.plan.assumptions import Assumptions
from medcopilot.plan.recipe import Recipe

ROWS = {"sft": 2137, "dpo": 4585, "verifier": 5681}
"""The paper's trajectories, pairs, and labelled trajectories (arXiv 2506.04405)."""
NANO_CONTEXT, CONTEXT = 448, 32_768
"""Tokens of a conversation at most, by profile (`agent.profiles`, `env.task.Limits`)."""
NANO_TURNS = 2.4
SMALL = 50_000_000
"""Models with fewer parameters are the nano policy, whose episodes are short."""


class Lengths(NamedTuple):
    """Of the rows of a file, or of rollouts."""

    rows: float
    mean: float
    """Tokens."""
    spread: float
    """Mean square over squared mean."""
    scored: float
    """Share of the tokens that carries loss."""
    turns: float
    played: float
    context: int
    """Tokens of a conversation at most."""
    source: str

    def square(self, longest: int) -> float:
        """Mean squared length of rows of at most so many tokens."""
        return min(self.spread * min(self.mean, longest) ** 2, float(longest) ** 2)


def lengths_of(recipe: Recipe, arch: Architecture, assumed: Assumptions, rows: int | None = None) -> Lengths:
    """Of a recipe's data. `rows`: in place of the file's number."""
    shape = np.interp(np.linspace(0, 1, 1001), np.linspace(0, 1, len(QUANTILES)), QUANTILES)
    spread = float((shape**2).mean() / shape.mean() ** 2)
    nano = arch.parameters() < SMALL
    mean = float(shape.mean()) if nano else assumed.tokens
    found = Lengths(rows or ROWS.get(recipe.stage, 0), mean, spread, assumed.sampled, NANO_TURNS if nano else assumed.turns,
                    assumed.played, NANO_CONTEXT if nano else CONTEXT, "assumed")
    path = getattr(recipe.config, "data", None)
    if path is None or not Path(path).is_file():
        return found
    sizes = _sizes(Path(path), recipe.stage)
    if not len(sizes):
        return found
    return found._replace(rows=rows or len(sizes), mean=float(sizes.mean()), spread=float((sizes**2).mean() / sizes.mean() ** 2),
                          source=str(path))


def _sizes(path: Path, stage: str) -> np.ndarray:
    """Tokens of each row; of a pair, its mean side."""
    columns = ("prompt_ids", "chosen_ids", "rejected_ids") if stage == "dpo" else ("input_ids",)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=list(columns))
        counts = [np.array([len(row) for row in table[name].to_pylist()], dtype=float) for name in columns]
    else:
        body = read_rows(path)
        counts = [np.array([len(row[name]) for row in body], dtype=float) for name in columns]
    return counts[0] if len(counts) == 1 else counts[0] + (counts[1] + counts[2]) / 2
