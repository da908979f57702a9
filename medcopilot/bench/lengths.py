"""How long trajectories are: what benchmarks of training draw the lengths of their rows from.

Does not cover: what the rows contain; no time depends on it.
"""

from __future__ import annotations

import numpy as np

QUANTILES = (40, 77, 83, 87, 92, 99, 102, 108, 114, 119, 124, 128, 132, 137, 142, 149, 159, 178, 201, 284, 580)
"""Tokens of the demo's expert trajectories at 0, 5, ... 100 %."""


def draw_lengths(count: int, seed: int = 0, scale: float = 1.0) -> list[int]:
    """Lengths with the distribution of the demo's expert trajectories.

    Args:
        scale: what every length is multiplied by: the full profile's prompts and turns are longer.
    """
    points = np.random.default_rng(seed).random(count)
    lengths = scale * np.interp(points, np.linspace(0, 1, len(QUANTILES)), QUANTILES)
    return [int(n) for n in lengths.round()]
