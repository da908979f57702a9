"""Reward terms of online training and their weighted sum.

Promises: every term maps a finished rollout to a number, a credit to [0, 1], a cost to [-1, 0]. So weights are never negative,
and a larger weight always asks for more of what is good. The sum is refused for a rollout that could not be graded (None,
whatever the weights): a failure of our own machinery is never a reward.
Does not cover: groups, advantages and filters (`medcopilot.rl`); filters look at the raw outcome, never at shaped rewards. Costs
fall on right and wrong answers alike: keep the sum of their weights well under that of `outcome`, or giving up early pays.

| term | range | what it looks at |
|---|---|---|
| outcome | [0, 1] | the strict grade |
| format | [0, 1] | share of replies that were valid, allowed actions |
| brevity | [0, 1] | right answers in few turns |
| verifier | [0, 1] | the probability that an outcome verifier gives to "correct" |
| turn_cost | [-1, 0] | turns beyond the first, as a share of those allowed |
| length_cost | [-1, 0] | sampled tokens, as a share of those allowed |
| loop_penalty | [-1, 0] | share of turns that only repeat earlier ones (`rewards.loops`) |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Rollout(NamedTuple):
    """What terms may look at."""

    score: float | None
    """The strict grade in [0, 1]; None when ungraded."""
    turns: int
    """Replies of the policy, at least 1 for a rollout that got anywhere."""
    refused: int
    """Replies that were not a valid, allowed action."""
    turn_limit: int
    tokens: int = 0
    """Tokens that the policy sampled."""
    token_limit: int = 0
    """The most that it could have sampled; 0: not limited."""
    loop_share: float = 0.0
    """Share of turns that are repetitions, in [0, 1]."""
    verifier: float | None = None
    """The outcome verifier's score in [0, 1]; None: there is no verifier."""


def outcome(rollout: Rollout) -> float:
    """The strict grade."""
    return rollout.score or 0.0


def format_term(rollout: Rollout) -> float:
    """Share of replies that were valid, allowed actions."""
    return 1.0 - rollout.refused / rollout.turns if rollout.turns else 0.0


def brevity(rollout: Rollout) -> float:
    """1 for a correct answer in one turn, falling linearly to 0 at the turn limit; 0 for a wrong answer."""
    if not rollout.score or rollout.turn_limit <= 1:
        return rollout.score or 0.0
    return rollout.score * (1.0 - _used_turns(rollout))


def turn_cost(rollout: Rollout) -> float:
    """0 for one turn, falling linearly to -1 at the turn limit, whatever the answer was worth."""
    return -_used_turns(rollout)


def length_cost(rollout: Rollout) -> float:
    """0 without a token, falling linearly to -1 at the token limit; 0 where there is no limit."""
    return -min(1.0, max(0, rollout.tokens) / rollout.token_limit) if rollout.token_limit > 0 else 0.0


def loop_penalty(rollout: Rollout) -> float:
    """Minus the share of turns that only repeat earlier ones."""
    return -min(1.0, max(0.0, rollout.loop_share))


def verifier(rollout: Rollout) -> float:
    """The outcome verifier's score.

    Raises:
        ValueError: the rollout was not scored.
    """
    if rollout.verifier is None:
        raise ValueError(_NO_VERIFIER)
    return min(1.0, max(0.0, rollout.verifier))


def _used_turns(rollout: Rollout) -> float:
    """Turns beyond the first as a share of those allowed; a rollout without a turn is not briefer than one with one."""
    if rollout.turn_limit <= 1:
        return 0.0
    return min(1.0, max(0.0, (rollout.turns - 1) / (rollout.turn_limit - 1)))


TERMS: dict[str, Callable[[Rollout], float]] = {
    "outcome": outcome, "format": format_term, "brevity": brevity, "verifier": verifier,
    "turn_cost": turn_cost, "length_cost": length_cost, "loop_penalty": loop_penalty,
}
COSTS = frozenset({"turn_cost", "length_cost", "loop_penalty"})
"""Terms in [-1, 0]; the others lie in [0, 1]."""
_NO_VERIFIER = "the reward term 'verifier' needs a verifier: set rollouts.verifier to its checkpoint folder, or leave the term out"


def check_weights(weights: Mapping[str, float], *, verifier: bool = True) -> None:
    """Refuse weights that cannot be meant.

    Args:
        verifier: whether rollouts are scored by a verifier.

    Raises:
        ValueError: a name that is not in `TERMS`, no term at all, a weight that is negative or not finite, or the term
            `verifier` without a verifier.
    """
    unknown = sorted(set(weights) - set(TERMS))
    if unknown or not weights:
        raise ValueError(f"unknown reward term {unknown[0]!r}: choose from {', '.join(TERMS)}" if unknown
                         else f"no reward term given: choose from {', '.join(TERMS)}")
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            cure = "costs are negative by themselves" if name in COSTS else "0 only logs the term"
            raise ValueError(f"the weight of reward term {name!r} is {weight:g}, but weights are at least 0 ({cure})")
    if "verifier" in weights and not verifier:
        raise ValueError(_NO_VERIFIER)


def total(rollout: Rollout, weights: Mapping[str, float]) -> tuple[float | None, dict[str, float]]:
    """The weighted sum, and each term's own value for the log. (None, {}) for an ungraded rollout.

    Raises:
        ValueError: the term `verifier` of a rollout that no verifier scored.
    """
    if rollout.score is None:
        return None, {}
    terms = {name: TERMS[name](rollout) for name in weights}
    return sum(weights[name] * value for name, value in terms.items()), terms
