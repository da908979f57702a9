"""From a recorded episode to what reward terms look at, and the verifier that scores episodes beside the grader.

Promises: `rollout_of` is the only place where a trace becomes a `Rollout`; an episode that our machinery failed, or that has no
sampled token to reinforce, has no score.
Does not cover: the terms and their weights (`rewards.shaping`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from env.errors import EngineError
from env.task import Limits
from medcopilot.loops import looping_turns
from medcopilot.trace import Trace
from rewards.shaping import Rollout
from rewards.types import Variant

Scorer = Callable[[list[Trace]], list[float]]
"""One score in [0, 1] per trace: the probability that its submission is correct."""


def rollout_of(trace: Trace, limits: Limits, verifier: float | None = None, grader: Variant = "strict") -> Rollout:
    """What reward terms look at.

    Args:
        limits: those that the episode was played under.
        verifier: the trace's score by a verifier, None without one.
        grader: whose verdict is the score.
    """
    turns = len(trace.turns)
    return Rollout(
        score=graded_score(trace, grader), turns=turns, refused=sum(bool(turn.problem) for turn in trace.turns),
        turn_limit=limits.turns,
        tokens=sum(trace.tokens.mask) if trace.tokens else 0,
        token_limit=min(limits.context_tokens, limits.turns * limits.turn_tokens),
        loop_share=len(looping_turns(trace)) / turns if turns else 0.0, verifier=verifier)


def graded_score(trace: Trace, grader: Variant = "strict") -> float | None:
    """The grade; None also for a rollout without a single sampled token: there is nothing to reinforce."""
    if trace.stop == "infrastructure" or trace.tokens is None or not any(trace.tokens.mask):
        return None
    return trace.grades[grader].score


async def scores_of(traces: Sequence[Trace], score: Scorer | None, grader: Variant = "strict") -> list[float | None]:
    """The verifier's scores, beside the event loop; None where there is no verifier or no grade to go with it.

    Raises:
        EngineError: the verifier did not give one number in [0, 1] per trace.
    """
    found: list[float | None] = [None] * len(traces)
    asked = [i for i, trace in enumerate(traces) if graded_score(trace, grader) is not None]
    if score is None or not asked:
        return found
    given = await asyncio.to_thread(score, [traces[i] for i in asked])
    if len(given) != len(asked) or not all(0.0 <= value <= 1.0 for value in given):
        raise EngineError(f"the verifier gave {len(given)} scores for {len(asked)} traces, or one outside [0, 1]: check its "
                          "checkpoint with recipes/verifier.py")
    for i, value in zip(asked, given, strict=True):
        found[i] = value
    return found


def check_scorer(checkpoint: str | None) -> None:
    """Refuse a folder without a verifier before anything is built or started.

    Raises:
        UserError: there is no verifier in that folder.
    """
    if checkpoint is not None:
        from medcopilot.verifier.score import read_record

        read_record(Path(checkpoint))


def open_scorer(checkpoint: str | None) -> Scorer | None:
    """The verifier of a checkpoint folder; None without one. It is loaded here, once.

    Raises:
        UserError: there is no verifier in that folder.
    """
    if checkpoint is None:
        return None
    from medcopilot.verifier import Verifier

    return Verifier.from_checkpoint(checkpoint).score
