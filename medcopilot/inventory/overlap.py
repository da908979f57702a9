"""How much of a test split's wording occurs in training: exact questions, masked questions, and word n-grams.

Promises: words are compared without case and punctuation; memory is a few bytes per word. `masked` replaces every number, so it
counts questions that differ in patients, dates and thresholds only: by design most of the slice `seen` does, and none of `unseen`
should. An n-gram counts as shared when training has it anywhere, in a question or its context.
`share` is the same measure for one task, whose context counts as its own too.
Does not cover: paraphrases, and programs.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from env.task import Task

N = 10
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
_NUMBER = re.compile(r"\d+(?:[.:/-]\d+)*")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def words(text: str) -> list[str]:
    """Lower-case words and numbers of a text."""
    return _WORD.findall(text.lower())


def masked(text: str) -> str:
    """A text without its numbers."""
    return " ".join(words(_NUMBER.sub(" # ", text)))


def grams(text: str, n: int = N) -> NDArray[np.uint64]:
    """A 64-bit hash for each window of `n` words, in order; none for a shorter text."""
    hashed = np.array([zlib.crc32(word.encode()) for word in words(text)], dtype=np.uint64)
    if len(hashed) < n:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(len(hashed) - n + 1, dtype=np.uint64)
    for offset in range(n):  # polynomial in a large odd factor, modulo 2**64
        total = total * _FACTOR + hashed[offset:offset + len(total)]
    return total


@dataclass(frozen=True)
class Overlap:
    """Shares of one slice of the test split that training knows."""

    tasks: int
    exact: float
    """The same question with the same context and data is in training."""
    masked: float
    """The same question up to its numbers."""
    any_gram: float
    """At least one 10-gram of the question is in training."""
    mean_grams: float
    """Mean share of a question's 10-grams that are in training (questions of at least ten words)."""


def whole_grams(text: str, n: int = N) -> NDArray[np.uint64]:
    """As `grams`; a text of fewer words counts as one gram, its whole."""
    return grams(text, min(n, max(1, len(words(text)))))


class Seen:
    """What these tasks, of training or of a test split, have said."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._exact: set[str] = set()
        self._masked: set[str] = set()
        found = []
        for task in tasks:
            self._exact.add(_whole(task))
            self._masked.add(masked(task.view.question))
            found.append(np.unique(whole_grams(text_of(task))))
        self._grams = np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.uint64)

    def _holds(self, own: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these hashes training has; theirs are sorted, so each takes a few steps."""
        if not len(self._grams):
            return np.zeros(len(own), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self._grams, own), len(self._grams) - 1)
        return self._grams[places] == own

    def share(self, text: str) -> float:
        """Share of a text's 10-grams that are known; a text of fewer words is known whole or not at all. 0 for no words."""
        own = whole_grams(text)
        return float(self._holds(own).mean()) if len(own) else 0.0

    def compare(self, tasks: Iterable[Task]) -> Overlap:
        """How much of these tasks training knows."""
        count = exact = same = touched = 0
        shares = []
        for task in tasks:
            count += 1
            exact += _whole(task) in self._exact
            same += masked(task.view.question) in self._masked
            own = grams(task.view.question)
            if len(own):
                known = float(self._holds(own).mean())
                touched += known > 0
                shares.append(known)
        whole = max(count, 1)
        return Overlap(count, exact / whole, same / whole, touched / whole, float(np.mean(shares)) if shares else 0.0)


def text_of(task: Task) -> str:
    """What a task asks: its question and the text that belongs to it."""
    return f"{task.view.question} {task.view.context}"


def _whole(task: Task) -> str:
    return "\n".join((*(file.path for file in task.view.data), task.view.context, task.view.question))
