"""The online loop guard: an agent that goes round in circles is told so once, then its episode ends.

Promises: after every turn it looks at what `medcopilot.loops` compares (action, program up to formatting, observation). The first
turn that closes or continues a loop is answered with one line under the observation; the next one ends the episode, with the stop
`loop`: an agent's limit like the turn limit, graded as it stands, never masked. A request that is answered differently, e.g. a
FHIR search after a write, repeats nothing.
Does not cover: what loops cost in finished episodes (`medcopilot.loops.guard_effect`).
"""

from __future__ import annotations

from typing import Literal

from medcopilot.loops import step_of
from medcopilot.trace import Turn
from rewards.loops import LoopDetector

LINE = ("[Loop: your last actions repeat, and nothing new will come of them. Do something else or submit: the next repetition ends "
        "the episode.]")


class LoopGuard:
    """Watches one episode."""

    def __init__(self) -> None:
        self._detector = LoopDetector()
        self._told = False

    def watch(self, turn: Turn) -> Literal["", "tell", "stop"]:
        """What is to be done after this turn."""
        if not self._detector.add(step_of(turn)):
            return ""
        if self._told:
            return "stop"
        self._told = True
        return "tell"


def with_line(observation: str, limit: int) -> str:
    """The observation with the guard's line under it, cut so that both stay within `limit` characters where the line itself does:
    what is cut was seen before."""
    room = max(0, limit - len(LINE) - 1)
    return f"{observation[:room]}\n{LINE}" if room and observation else LINE
