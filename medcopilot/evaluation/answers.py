"""What was submitted, in a form that equal answers share: the votes of majority@K.

Promises: the canonical form depends on the submission and on what the episode showed the agent, never on the grade.
 - an answer: numbers of equal value are equal (`3`, `3.0`, `"3"`), fractions count to six significant digits; text without regard
   to case and white space; a list of one is its only element; the outermost list has no order, inner rows keep theirs;
 - a program: what the very same program printed when the episode ran it last without an error, read as an answer; where it
   printed nothing, was never run, or is itself what is asked for (open-ended tasks), the program up to formatting
   (`rewards.loops.normal_program`);
 - a state: what was written to the server, and the answer beside it;
 - files: a trace does not hold them, so each such submission stands alone;
 - an abstention is an answer like others; a rollout that submitted nothing has no vote.
Does not cover: whether two different answers would be graded alike (units, rounding): they are two.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

from env.actions import ANSWER_DEPTH
from medcopilot.trace import Trace
from rewards.loops import normal_program

NONE = ""
"""Nothing was submitted."""
PROGRAM_TASKS = ("biocoder", "biodsbench", "ehrshot", "mimic_extract")
"""Datasets in which the program itself, or a model, is asked for: what it prints on the way is no answer."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


class Submitted(NamedTuple):
    """What canonicalising needs of a trace: kept small, as only tasks that were sampled several times need it."""

    kind: str
    value: Any = None
    language: str = ""


def read_submission(trace: Trace) -> Submitted:
    """What a trace submitted."""
    given = trace.submission
    if given is None:
        return Submitted("nothing")
    kind = str(given.get("kind"))
    if kind == "files":
        return Submitted("files", trace.id)
    if kind == "state":
        return Submitted("state", [trace.state, given.get("answer")])
    if kind != "program":
        return Submitted(kind, given.get("answer"))
    program, language = str(given.get("program", "")), str(given.get("language") or "python")
    shown = "" if trace.dataset in PROGRAM_TASKS else _shown(trace, program, language)
    return Submitted("answer", _read(shown)) if shown else Submitted("program", program, language)


def canonical(submitted: Submitted) -> str:
    """16 hex digits that equal answers share; `NONE` for no submission."""
    if submitted.kind == "nothing":
        return NONE
    value = normal_program(submitted.value, submitted.language) if submitted.kind == "program" else _normal(submitted.value)
    if submitted.kind == "answer" and isinstance(value, list):
        value = sorted(value, key=_text)
    return hashlib.blake2b(_text([submitted.kind, submitted.language, value]).encode(), digest_size=8).hexdigest()


def _shown(trace: Trace, program: str, language: str) -> str:
    """What the last run of the same program printed; empty when it failed or never ran."""
    for turn in reversed(trace.turns):
        if (turn.action == "code_execution" and str(turn.params.get("code", "")).strip() == program.strip()
                and str(turn.params.get("language") or "python") == language):
            good = turn.execution is not None and turn.execution.get("status") == "ok" and not turn.execution.get("truncated")
            return turn.observation.strip() if good and turn.observation.strip() != "(no output)" else ""
    return ""


def _read(text: str) -> Any:
    """Printed text as JSON where it is, of a depth that an answer may have; else line by line."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _lines(text)
    return value if _depth(value) <= ANSWER_DEPTH else _lines(text)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _depth(value: Any) -> int:
    """Levels of lists and objects, without recursion."""
    depth, level = 0, [value]
    while level := [part for item in level if isinstance(item, list | dict)
                    for part in (item.values() if isinstance(item, dict) else item)]:
        depth += 1
    return depth


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        squeezed = " ".join(value.split()).casefold()
        return _normal(json.loads(squeezed)) if _NUMBER.fullmatch(squeezed) and len(squeezed) < 300 else squeezed
    if isinstance(value, float):
        return int(value) if value.is_integer() else f"{value:.6g}"
    if isinstance(value, dict):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_normal(item) for item in value]
        return items[0] if len(items) == 1 else items
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
