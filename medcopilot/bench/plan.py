"""Progress of a benchmark of several parts, with the time that is left.

Promises: the parts and about how long each takes on a quiet machine are named at the start; what is left is scaled by how slow
this machine has been so far, and is said at most every few seconds.
Does not cover: the measurements.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Plan:
    """`at(part, share)` while a part runs, `done(part)` when it has ended.

    Args:
        parts: expected seconds of each part on a quiet machine.
        say: gets one line at a time.
        every: seconds between two lines of one part.
        clock: seconds, monotonic.
    """

    def __init__(self, parts: Mapping[str, float], say: Callable[[str], object] = lambda _: None, *, every: float = 10.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.parts = dict(parts)
        self._say, self._every, self._clock = say, every, clock
        self._ended: dict[str, bool] = dict.fromkeys(self.parts, False)
        self._started = self._said = clock()

    def left(self, part: str | None = None, share: float = 0.0) -> float:
        """Seconds until everything has ended, while `share` of `part` is done."""
        through = sum(seconds for name, seconds in self.parts.items() if self._ended[name])
        through += self.parts[part] * share if part is not None and not self._ended[part] else 0.0
        pace = (self._clock() - self._started) / through if through else 1.0
        return (sum(self.parts.values()) - through) * pace

    def at(self, part: str, share: float) -> None:
        """So much of a part is done (0 to 1)."""
        if self._clock() - self._said >= self._every or share == 0.0:
            self._tell(f"{part} {share:.0%}", self.left(part, share))

    def done(self, part: str) -> None:
        """A part has ended."""
        self._ended[part] = True
        self._tell(f"{part} done", self.left())

    def _tell(self, what: str, left: float) -> None:
        self._said = self._clock()
        self._say(f"rollout benchmark: {what}, about {int(left) // 60}:{int(left) % 60:02d} left")
