"""What loops cost a group of episodes, and what the online guard saved or would have saved.

Promises: episodes that were played with the guard and without it are counted apart; for the latter, how many that the guard would
have ended went on to a success stands beside the tokens. Tokens are those that the policy sampled; None where records do not say.
Does not cover: what a loop is (`rewards.loops`), and one episode (`medcopilot.loops.guard_effect`).
"""

from __future__ import annotations

from math import isnan

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medcopilot.evaluation.columns import Columns


class LoopCost(BaseModel):
    """Loops of some episodes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    episodes: int
    """In which a turn only repeated earlier ones."""
    turns: int
    """Such turns."""
    tokens_after: float | None
    """Sampled after the first loop of an episode was recognised."""
    share_after: float | None
    """The same as a share of all sampled tokens."""
    guarded: int
    """Episodes that were played with the guard."""
    told: int
    """Of these, in how many it spoke."""
    stopped: int
    """Of these, how many it ended."""
    saved: float | None
    """Tokens that the turns left to those would have sampled, at most."""
    would_stop: int
    """Episodes without the guard that it would have ended, had the agent gone on as it did."""
    would_save: float | None
    """Tokens that those sampled afterwards."""
    would_lose: int
    """How many of those ended as a strict success all the same."""


def loop_cost(cols: Columns) -> LoopCost | None:
    """None where nothing looped and no guard watched."""
    turns, guarded = cols.measure("loop_turns"), cols.measure("loop_guarded") > 0
    if not (turns > 0).any() and not guarded.any():
        return None
    told, stopped = cols.measure("loop_told") > 0, cols.measure("loop_stopped") > 0
    after, saved = cols.measure("loop_tokens_after"), cols.measure("loop_tokens_saved")
    tokens = float(np.nansum(cols.measure("completion_tokens")))
    after_all = _sum(after)
    return LoopCost(episodes=int((turns > 0).sum()), turns=int(turns.sum()), tokens_after=after_all,
                    share_after=after_all / tokens if after_all is not None and tokens else None, guarded=int(guarded.sum()),
                    told=int((guarded & told).sum()), stopped=int((guarded & stopped).sum()), saved=_sum(saved[guarded]),
                    would_stop=int((~guarded & stopped).sum()), would_save=_sum(saved[~guarded]),
                    would_lose=int((~guarded & stopped & (cols.strict == 1.0)).sum()))


def _sum(values: NDArray[np.float64]) -> float | None:
    total = float(values.sum())
    return None if isnan(total) else total
