"""Reward terms of online training and their weighted sum.

Promises: every term maps a finished rollout to a number in [0, 1]; the sum is refused for a rollout that could not be graded
(None, whatever the weights): a failure of our own machinery is never a reward. The default is the outcome alone.
Does not cover: groups, advantages and filters (`medcopilot.rl`); filters look at the raw outcome, never at shaped rewards.
"""

from __future__ import annotations

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
    share = 1.0 - (rollout.turns - 1) / (rollout.turn_limit - 1)
    return rollout.score * min(1.0, max(0.0, share))  # a rollout without a turn is not briefer than one with one


TERMS: dict[str, Callable[[Rollout], float]] = {"outcome": outcome, "format": format_term, "brevity": brevity}


def check_weights(weights: Mapping[str, float]) -> None:
    """Refuse unknown terms.

    Raises:
        ValueError: a name that is not in `TERMS`, or no term at all.
    """
    unknown = sorted(set(weights) - set(TERMS))
    if unknown or not weights:
        raise ValueError(f"unknown reward term {unknown[0]!r}: choose from {', '.join(TERMS)}" if unknown
                         else f"no reward term given: choose from {', '.join(TERMS)}")


def total(rollout: Rollout, weights: Mapping[str, float]) -> tuple[float | None, dict[str, float]]:
    """The weighted sum, and each term's own value for the log. (None, {}) for an ungraded rollout."""
    if rollout.score is None:
        return None, {}
    terms = {name: TERMS[name](rollout) for name in weights}
    return sum(weights[name] * value for name, value in terms.items()), terms
