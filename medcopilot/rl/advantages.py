"""Group-relative advantages (GRPO: Shao et al. 2024, arXiv 2402.03300, eq. 3 and section 4.1.2).

Promises: pure functions over plain numbers; rollouts without a reward (infrastructure failures) take no part in a group's
statistics and get advantage 0.
Does not cover: where rewards come from and how advantages enter a loss.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

Scale = Literal["group", "none"]
EPSILON = 1e-4
"""Added to the standard deviation, as TRL does."""


def group_advantages(rewards: Sequence[float | None], scale: Scale = "group") -> list[float]:
    """Reward minus the group's mean, over its standard deviation (`none`: not divided, as in Dr. GRPO, arXiv 2503.20783).

    Args:
        rewards: of one group; None was not graded.

    Returns:
        One advantage per rollout. The standard deviation is the sample one (n - 1); 0 for fewer than two rewards.
    """
    graded = [reward for reward in rewards if reward is not None]
    if len(graded) < 2:
        return [0.0] * len(rewards)
    mean = statistics.fmean(graded)
    divisor = statistics.stdev(graded) + EPSILON if scale == "group" else 1.0
    return [0.0 if reward is None else (reward - mean) / divisor for reward in rewards]


def informative(outcomes: Sequence[bool | None]) -> bool:
    """Whether a group teaches anything: at least two graded rollouts, and not all with the same raw outcome."""
    graded = {outcome for outcome in outcomes if outcome is not None}
    return len(graded) == 2
