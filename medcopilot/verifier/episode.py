"""An episode as the verifier is shown it: plain text, and nothing that a grader wrote.

Promises: only what the agent was told, did, saw and submitted is read from a trace; labels come from fixed words.
Does not cover: wording, quoting and length (`prompt`).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from medcopilot.trace import Trace, Turn

_TEXTS = {"code_execution": "code", "terminal": "command", "debugging": "code"}
_LABELS = ("request_info", "terminal", "code_execution", "debugging", "submit")
_ENDS = {"turns": "no turns were left", "context": "the context was full", "loop": "the actions repeated",
         "no_reply": "there was no reply"}


class Part(NamedTuple):
    """One turn."""

    number: int
    action: str
    said: str
    seen: str


class Episode(NamedTuple):
    """What is judged."""

    question: str
    kind: str
    """How the submission was given."""
    submission: str
    parts: tuple[Part, ...]
    """Turns in their order, without the one that submitted."""


def read_episode(trace: Trace) -> Episode:
    """The trace as text."""
    kind, submission = _submission(trace)
    parts = tuple(_part(number, turn) for number, turn in enumerate(trace.turns, start=1)
                  if turn.action != "submit" or turn.problem)
    return Episode(_question(trace), kind, submission, parts)


def _question(trace: Trace) -> str:
    """What the user said before the agent first spoke. The system message explains the protocol, not the task."""
    opening = []
    for message in trace.messages:
        if message["role"] == "assistant":
            break
        if message["role"] == "user":
            opening.append(message["content"])
    return "\n\n".join(opening)


def _submission(trace: Trace) -> tuple[str, str]:
    given = trace.submission
    if given is None:
        return "nothing", f"({_ENDS.get(trace.stop, 'the episode ended')})"
    kind = given.get("kind")
    if kind == "program":
        return f"program ({'sql' if given.get('language') == 'sql' else 'python'})", str(given.get("program", ""))
    if kind == "files":
        return "files", "\n".join(str(name) for name in given.get("files", ()))
    if kind == "abstain":
        return "abstention", "(the question cannot be answered from the data)"
    if kind == "state":
        return "state", "(what was written to the server)" if given.get("answer") is None else _json(given["answer"])
    return "answer", _json(given.get("answer"))


def _part(number: int, turn: Turn) -> Part:
    label = turn.action if turn.action in _LABELS else "no action"
    seen = f"{turn.observation}\n{turn.guard}" if turn.guard else turn.observation
    if turn.problem or turn.action is None:
        return Part(number, f"{label} (refused)", turn.reply, seen)
    name = _TEXTS.get(turn.action, "")
    if isinstance(turn.params.get(name), str):
        language = " (sql)" if turn.params.get("language") == "sql" else ""
        return Part(number, label + language, turn.params[name], seen)
    return Part(number, label, _json(turn.params), seen)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
