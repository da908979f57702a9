"""Rollouts that go round in circles: turns that only do again what was done, and see again what was seen.

Promises: a turn repeats an earlier one when its action, its program up to formatting (Python: equal syntax trees) and its
observation up to white space and memory addresses are the same. A loop is a block of 1 to 4 turns that comes again, whole,
directly after itself; its repetitions are looping turns, its first pass is not. The smallest period names a loop. `LoopDetector`
says so turn by turn, `find_loops` of a finished rollout: both agree, and a turn that loops goes on looping whatever follows.
Does not cover: what is done about a loop (`rewards.shaping` charges for it), and turns that wander without repeating themselves.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

LONGEST_PERIOD = 4
LONGEST_PROGRAM = 50_000
"""Characters; a longer program is compared as text."""

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`)")
_AROUND_SIGNS = re.compile(r"\s*([^\w\s.])\s*")


class Step(NamedTuple):
    """One turn as the detector sees it."""

    action: str
    """Name of the action; empty for a reply that was none."""
    program: str
    """The program, the command or the other parameters as text; of a reply that was no action, the reply."""
    observation: str
    language: str = ""
    """`python` or `sql`; anything else is compared up to white space."""


class LoopDetector:
    """The online form: one turn at a time."""

    def __init__(self) -> None:
        self.loops: dict[int, int] = {}
        """Looping turns so far (counted from 0) with the period of their loop."""
        self._seen: list[str] = []
        self._runs = [0] * (LONGEST_PERIOD + 1)
        """For every period, how many turns up to the last one equal the turn that many places before them."""

    def add(self, step: Step) -> int:
        """Take the next turn. Returns the period of the loop that it closes or continues, 0 when it is in none."""
        self._seen.append(signature(step))
        turn = len(self._seen) - 1
        for period in range(1, LONGEST_PERIOD + 1):
            again = turn >= period and self._seen[turn - period] == self._seen[turn]
            self._runs[period] = self._runs[period] + 1 if again else 0
            if self._runs[period] >= period:
                newly = period if self._runs[period] == period else 1  # a block is a repetition only once it is whole
                for position in range(turn - newly + 1, turn + 1):
                    self.loops[position] = min(period, self.loops.get(position, period))
        return self.loops.get(turn, 0)


def find_loops(steps: Iterable[Step]) -> dict[int, int]:
    """Looping turns of a rollout (counted from 0) with the period of their loop."""
    detector = LoopDetector()
    for step in steps:
        detector.add(step)
    return dict(sorted(detector.loops.items()))


def signature(step: Step) -> str:
    """32 hex digits that two turns share when one repeats the other."""
    body = [step.action, normal_program(step.program, step.language), _squeeze(_ADDRESS.sub("0x", step.observation))]
    return hashlib.blake2b(json.dumps(body).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=64)  # an episode is looked at several times, and its programs repeat
def normal_program(program: str, language: str = "python") -> str:
    """A form that programs share when they differ in formatting only.

    Python: the syntax tree, so comments, quotes, brackets and layout do not count. SQL: lower case and single spaces outside
    quotes. Anything else, and Python that does not parse: white space squeezed.
    """
    if language == "sql":
        parts = _QUOTED.split(program)  # quoted text stands at odd places
        return "".join(part if i % 2 else _AROUND_SIGNS.sub(r"\1", _squeeze_inside(part)).lower()
                       for i, part in enumerate(parts)).strip(" ;")
    if language == "python" and len(program) <= LONGEST_PROGRAM:
        try:
            return ast.dump(ast.parse(program))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    return _squeeze(program)


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _squeeze_inside(text: str) -> str:
    return re.sub(r"\s+", " ", text)
