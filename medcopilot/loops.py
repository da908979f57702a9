"""Loops in recorded episodes: a trace's turns as the steps that `rewards.loops` compares, and what loops cost.

Promises: what an action did decides, not how its JSON was written; a reply that was no action is compared as text. Turns count as
the online guard counts them, so that an episode without it shows what it would have done.
Does not cover: the guard itself (`medcopilot.agent.loop_guard`), and what an agent would have done instead of looping.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from math import nan
from typing import NamedTuple

from medcopilot.trace import Trace, Turn
from rewards.loops import LONGEST_PERIOD, LoopDetector, Step, find_loops

_TEXTS = {"code_execution": "code", "terminal": "command", "debugging": "code"}
"""Which parameter holds what is run."""


class GuardEffect(NamedTuple):
    """What loops cost an episode, and what the guard did about them or would have done."""

    turns: int
    """Turns that only repeat earlier ones."""
    told: bool
    """The guard spoke; of an episode without it: it would have."""
    stopped: bool
    """The guard ended the episode; of an episode without it: it would have, had the agent gone on as it did."""
    tokens_after: float
    """Sampled after the turn at which the first loop was recognised; NaN where the record does not say."""
    tokens_saved: float
    """Without the guard: sampled after the turn at which it would have ended the episode. Ended by the guard: at most what the
    turns that were left would have sampled at the mean of the looping ones; NaN where the record does not say."""


def step_of(turn: Turn) -> Step:
    """One turn, ready to be compared."""
    if turn.action is None:
        return Step("", turn.reply, turn.observation)
    name = _TEXTS.get(turn.action)
    if name is not None and isinstance(turn.params.get(name), str):
        language = "" if turn.action == "terminal" else str(turn.params.get("language", "python"))
        return Step(turn.action, turn.params[name], turn.observation, language)
    return Step(turn.action, json.dumps(turn.params, sort_keys=True), turn.observation)


def looping_turns(trace: Trace) -> dict[int, int]:
    """Turns that only repeat earlier ones (counted from 0) with the period of their loop."""
    if not _may_loop(trace.turns):
        return {}
    steps = [step_of(turn) for turn in trace.turns]
    # programs are parsed only where actions and observations alone would make a loop: few episodes
    if not find_loops(Step(step.action, "", step.observation) for step in steps):
        return {}
    return find_loops(steps)


def _may_loop(turns: Sequence[Turn]) -> bool:
    """Whether any turn resembles one that a loop's period could put before it, by its action and by the first and the last word of
    its observation: most episodes hold no such pair, and reading their observations whole takes most of a report's time."""
    def word(parts: list[str], at: int) -> str:
        # of two equal observations one may show another memory address
        return "" if not parts or "0x" in parts[at] else parts[at]

    keys = [(turn.action, word(turn.observation.split(None, 1), 0), word(turn.observation.rsplit(None, 1), -1)) for turn in turns]
    return any(keys[turn] in keys[max(0, turn - LONGEST_PERIOD) : turn] for turn in range(1, len(keys)))


def guard_effect(trace: Trace) -> GuardEffect:
    """What the episode's loops cost, with the guard or without it."""
    looping = looping_turns(trace)
    if not looping:
        return GuardEffect(0, False, False, 0.0, 0.0)
    detector = LoopDetector()
    told, *more = [turn for turn, item in enumerate(trace.turns) if detector.add(step_of(item))]
    after = _sampled(trace.turns[told + 1:])
    if not trace.loop_guard:
        last = len(trace.turns) - 1  # an episode that ends with a turn needs nobody to end it
        stopped = bool(more) and more[0] < last
        saved = _sampled(trace.turns[more[0] + 1:]) if stopped else 0.0
        return GuardEffect(len(looping), told < last, stopped, after, saved)
    stopped = trace.stop == "loop"
    left = trace.turn_limit - len(trace.turns) if trace.turn_limit is not None else nan
    each = _sampled(trace.turns[turn] for turn in looping) / len(looping)
    return GuardEffect(len(looping), any(turn.guard for turn in trace.turns), stopped, after, left * each if stopped else 0.0)


def _sampled(turns: Iterable[Turn]) -> float:
    """Tokens that the policy sampled in these turns; NaN when that is not known of every one."""
    return sum(nan if turn.sampled_tokens is None else turn.sampled_tokens for turn in turns)
