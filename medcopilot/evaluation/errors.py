"""Why an episode failed: one class for every failed trace, by fixed rules.

Promises: `error_class` reads the trace alone, without a model and without the reference; every trace that is no strict success gets
exactly one of `CLASSES`, every success none. What was submitted decides where something was; otherwise how the episode ended, then
what its last run or reply came to. The rules in their order are in `docs/errors.md`.
Does not cover: what the agent should have done, and the turn at which it first went wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from medcopilot.evaluation.run_errors import OUT_OF_BUDGET, program_error, run_error
from medcopilot.loops import looping_turns
from medcopilot.trace import GradeRecord, Trace, Turn
from rewards.loops import normal_program

CLASSES: dict[str, str] = {
    "format": "a reply or a submission that cannot be read",
    "syntax": "a program that cannot be parsed",
    "runtime": "a program that failed while it ran, for none of the reasons below",
    "missing_table": "a table that is not there",
    "missing_column": "a column that is not there",
    "missing_file": "a file that is not there",
    "empty_result": "a run or a submission that holds nothing",
    "type_or_unit": "an answer of another type, or in another unit",
    "near_miss": "an answer close to the reference, or right in part",
    "wrong_rows": "a wrong value, wrong rows, predictions or state",
    "abstention": "abstained from a question that has an answer, or answered one that has none",
    "loop": "went round in circles until it was stopped",
    "budget": "turns, time, memory or output ran out",
    "context": "the conversation outgrew the context",
    "no_submission": "had a result, or was silent, and submitted nothing",
    "infrastructure": "our own machinery failed: not counted against the agent",
}
"""Class -> what it says of an episode."""

PAPER: dict[str, str] = {"loop": "stuck in a loop", "runtime": "runtime", "missing_table": "runtime", "missing_column": "runtime",
                         "budget": "runtime", "missing_file": "I/O", "syntax": "syntax", "format": "syntax"}
"""Class -> the paper's; `other` for the rest. Three of the paper's five names are published with their shares."""
PAPER_CLASSES = ("stuck in a loop", "runtime", "I/O", "syntax", "other")
PUBLISHED = {"stuck in a loop": 0.5039, "runtime": 0.3039, "I/O": 0.1522}
"""Shares of gpt-4.1's failures (arXiv 2506.04405)."""

_EMPTY = re.compile(r"^0 rows for|is empty$|left no|gave no value|no rows$|is missing$|nothing was asserted")
_UNIT = re.compile(r"as between units")
_STATUS = re.compile(r"ended with (?:status )?(\w+)")


def error_class(trace: Trace) -> str:
    """One of `CLASSES`; empty for a strict success."""
    strict = trace.grades.get("strict")
    if trace.stop == "infrastructure" or strict is None or strict.score is None:
        return "infrastructure"
    if strict.score == 1.0:
        return ""
    return _of_submission(trace, strict) if trace.submission is not None else _of_silence(trace)


def paper_counts(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by class as counts by the paper's classes, our own machinery's failures left out."""
    found = dict.fromkeys(PAPER_CLASSES, 0)
    for name, count in counts.items():
        if name != "infrastructure":
            found[PAPER.get(name, "other")] += count
    return found


def _of_submission(trace: Trace, strict: GradeRecord) -> str:
    """What the verdict on a submission means."""
    given, label = trace.submission or {}, strict.label
    if given.get("kind") == "abstain" or (trace.impossible and label == "wrong"):
        return "abstention"
    if label == "near_miss":
        return "near_miss"
    if label == "error":
        return _of_failed_program(trace, given, strict.detail)
    if _is_empty(trace, given, strict.detail):
        return "empty_result"
    if label in ("wrong_type", "unsupported") or _UNIT.search(strict.detail):
        return "type_or_unit"
    return "format" if label == "malformed" else "wrong_rows"


def _of_failed_program(trace: Trace, given: Mapping[str, Any], detail: str) -> str:
    """Why a submitted program failed: as it did in the episode, else what its text and its status say."""
    status = _STATUS.search(detail)
    if status is not None and status.group(1) in OUT_OF_BUDGET:
        return "budget"
    turn = _run_of(trace, given)
    seen = run_error(turn) if turn is not None else ""
    if seen not in ("", "empty_result"):
        return seen
    return program_error(str(given.get("program", "")), str(given.get("language", "python")))


def _is_empty(trace: Trace, given: Mapping[str, Any], detail: str) -> bool:
    """Nothing was handed in: an empty answer, or a program that left or printed nothing."""
    if _EMPTY.search(detail):
        return True
    if given.get("kind") == "answer":
        return _holds_nothing(given.get("answer"))
    turn = _run_of(trace, given) if given.get("kind") == "program" else None
    return turn is not None and run_error(turn) == "empty_result" and "answer" not in str(given.get("program"))


def _holds_nothing(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_holds_nothing, value.values()))
    if isinstance(value, list):
        return all(map(_holds_nothing, value))
    return value is None or (isinstance(value, str) and not value.strip())


def _run_of(trace: Trace, given: Mapping[str, Any]) -> Turn | None:
    """The last turn that ran the submitted program, up to its formatting."""
    program, language = given.get("program"), str(given.get("language", "python"))
    if not isinstance(program, str):
        return None
    wanted = ""
    for turn in reversed(trace.turns):
        if turn.execution is None or str(turn.params.get("language", "python")) != language:
            continue
        code = str(turn.params.get("code", ""))
        if code == program:
            return turn
        wanted = wanted or normal_program(program, language)  # costs a parse, which most episodes do not need
        if normal_program(code, language) == wanted:
            return turn
    return None


def _of_silence(trace: Trace) -> str:
    """Why nothing was submitted."""
    if trace.stop == "loop" or len(trace.turns) - 1 in looping_turns(trace):
        return "loop"
    if trace.stop == "context":
        return "context"
    turn = _last_decisive(trace)
    if turn is None:
        return "budget" if trace.stop == "turns" else "no_submission"
    if turn.problem or turn.action is None:
        return "format"
    return run_error(turn) or ("wrong_rows" if trace.protocol == "paper" else "no_submission")


def _last_decisive(trace: Trace) -> Turn | None:
    """The last reply that was refused or ran something; looking at the data and asking for explanations decide nothing."""
    return next((turn for turn in reversed(trace.turns) if turn.problem or turn.action is None or turn.execution is not None), None)
