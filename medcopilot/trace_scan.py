"""Traces without their token lists, for everything that counts, searches and draws: token ids, masks and logprobs are often the
larger part of a shard, and training alone reads them.

Promises: all fields but `tokens` are those that `read_traces` gives, checked as there; how many tokens there were, and how many of
them were sampled, is known all the same; a shard is never in memory as a whole. The lists are cut out of the line before it is
parsed, and only where that is certain to be the trace's own field: what a policy writes into its parameters cannot hide a turn
from the numbers (`cut_tokens`).
Does not cover: checking the token lists themselves; whoever wants the ids reads the line again (`Place.read`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, PrivateAttr, ValidationError

from env.errors import UserError
from medcopilot.trace import TRACE_VERSION, Trace, parse_line, read_lines

_START, _MASK, _LOGPROBS, _VERSIONS, _END = (b'],"tokens":{"ids":[', b'],"mask":[', b'],"logprobs":[', b'],"versions":[',
                                             b']},"stop":"')
_EMPTY = b'],"tokens":{"ids":[],"mask":[],"logprobs":[],"versions":[]},"stop":"'
_Parsed = TypeVar("_Parsed", bound=BaseModel)


class Counts(NamedTuple):
    """Of one conversation."""

    tokens: int
    sampled: int


class Place(NamedTuple):
    """Where a trace lies."""

    path: Path
    offset: int
    size: int

    def read(self) -> Trace:
        """The whole trace.

        Raises:
            UserError: it is no longer there.
        """
        try:
            with self.path.open("rb") as handle:
                handle.seek(self.offset)
                return parse_line(handle.read(self.size))
        except (OSError, ValueError):
            raise UserError(f"{self.path} byte {self.offset}: the trace that was there cannot be read: the file has changed; run "
                            "the command again") from None


class ScannedTrace(Trace):
    """A trace that has forgotten its token ids (`tokens` is None), but not how many there were, nor where it lies."""

    _counts: Counts | None = PrivateAttr(None)
    _place: Place | None = PrivateAttr(None)

    @property
    def context_tokens(self) -> int | None:
        return self._counts.tokens if self._counts else None

    @property
    def sampled_tokens(self) -> int | None:
        return self._counts.sampled if self._counts else None

    @property
    def place(self) -> Place:
        """Where to read it whole."""
        assert self._place is not None
        return self._place


def scan_traces(path: Path, torn: list[str] | None = None) -> Iterator[ScannedTrace]:
    """Traces of one shard without their tokens; a torn last line and malformed ones as in `read_traces`.

    Raises:
        UserError: a malformed line, with its number and the cure.
    """
    def scan(line: bytes, offset: int) -> ScannedTrace:
        trace = scan_line(line)
        trace._place = Place(path, offset, len(line))
        return trace

    return read_lines(path, torn, scan)


def scan_line(line: bytes) -> ScannedTrace:
    """One line.

    Raises:
        ValueError: not a trace of this version.
    """
    try:
        trace, counts = without_tokens(ScannedTrace, line)
        good = trace.version == TRACE_VERSION
    except ValidationError:
        good = False
    if not good:  # the reader of whole traces says what is wrong, or takes it where the fast parser is the stricter one
        trace, counts = ScannedTrace(**dict(parse_line(line))), None
    if counts is None and trace.tokens is not None:
        counts = Counts(len(trace.tokens.ids), sum(trace.tokens.mask))
    trace.tokens, trace._counts = None, counts
    return trace


def without_tokens(model: type[_Parsed], line: bytes) -> tuple[_Parsed, Counts | None]:
    """A line as `model`, which has a field `tokens`, and the counts where its lists were cut out before parsing.

    Raises:
        ValidationError: it does not fit.
    """
    if (cut := cut_tokens(line)) is not None:
        try:
            found: Any = model.model_validate_json(cut[0])
        except ValidationError:
            pass  # what was cut was something else
        else:
            # emptied lists where the trace's own stand: that was the one place in the line that looks so
            if found.tokens is not None:
                return found, cut[1]
    return model.model_validate_json(line), None


def cut_tokens(line: bytes) -> tuple[bytes, Counts] | None:
    """The line with empty token lists, and what they held. None where no place, or more than one, looks like token lists.

    The quotes of the pattern are unescaped, so text cannot hold it; a JSON object that a policy gave as a parameter can. Such a
    line has either two such places (None), or one that is not the trace's own: then `tokens` of what is parsed is null, and
    `without_tokens` reads the line as it is.
    """
    start = line.find(_START)
    if start < 0 or line.find(_START, start + 1) >= 0:
        return None
    at = start + len(_START)
    places = []
    for mark in (_MASK, _LOGPROBS, _VERSIONS, _END):
        at = line.find(mark, at)
        if at < 0:
            return None
        places.append(at)
        at += len(mark)
    mask = line[places[0] + len(_MASK) : places[1]]
    return line[:start] + _EMPTY + line[at:], Counts(mask.count(b",") + 1 if mask else 0, mask.count(b"1"))
