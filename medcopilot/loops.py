"""Loops in recorded episodes: a trace's turns as the steps that `rewards.loops` compares.

Promises: what an action did decides, not how its JSON was written; a reply that was no action is compared as text.
"""

from __future__ import annotations

import json

from medcopilot.trace import Trace, Turn
from rewards.loops import Step, find_loops

_TEXTS = {"code_execution": "code", "terminal": "command", "debugging": "code"}
"""Which parameter holds what is run."""


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
    return find_loops(step_of(turn) for turn in trace.turns)
