"""Strict grader of questions over patient databases (EHRSQL, MIMICSQL and their twins): execution match of the answer set.

Promises: `judge` is pure and never raises, whatever was submitted. Every value has to match (`rewards.values`); abstaining is
correct exactly where the question cannot be answered; a program that crashed, ran out of a limit or left a value that is no
plain data (`unsupported`) earns 0: an agent must not be able to choose that its answer is not counted.

Arguments read from `key.args` (all optional): `impossible`, `ordered`, `decimals`, `yes_no`, `date_only`, `alternatives` (other
row sets that are correct as well: the same query under another tie order), `extra_keys` (columns that an answer may show beside
the reference: a single value for every row, or a list with one value per reference row).
Source: EHRSQL's official evaluation compares sorted results of both queries; this compares all columns, with tolerances.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rewards.types import Evidence, EvidencePlan, Grade, Key
from rewards.values import Match, NotPlain, Row, as_number, readings, row_key, same_rows, same_value

_NEAR = 0.05
"""A single number within 5 % of the reference, or a list with half of its rows right, is a near miss (score 0)."""


def plan(key: Key) -> EvidencePlan:
    """Run a submitted program once and collect its value."""
    return EvidencePlan(run_program=True, want_value=True)


def judge(evidence: Evidence, key: Key) -> Grade:
    """Score 1 or 0 with a label; never ungraded."""
    impossible = bool(key.args.get("impossible"))
    if evidence.kind == "none":
        return Grade(0.0, "no_submission", "the episode ended without a submission")
    if evidence.kind == "abstain":
        if impossible:
            return Grade(1.0, "correct_abstention", "the data cannot answer the question")
        return Grade(0.0, "abstained", "the question can be answered")
    if evidence.kind not in ("program", "answer"):
        return Grade(0.0, "wrong_type", f"this question takes a program or an answer, not {evidence.kind}")
    if evidence.status != "ok":
        return Grade(0.0, "error", f"the program ended with status {evidence.status}")
    if evidence.unsupported:
        return Grade(0.0, "unsupported", f"a value of type {evidence.unsupported} cannot be compared")
    if not evidence.has_value:
        return Grade(0.0, "malformed", "the program left no answer")
    if impossible:
        return Grade(0.0, "wrong", "the data cannot answer the question: abstaining is correct")
    try:
        return _compare(evidence.value, key)
    except NotPlain as error:
        return Grade(0.0, "malformed", f"the answer holds {error}")


def _compare(value: Any, key: Key) -> Grade:
    match = match_of(key.args)
    wanted = list(_targets(key))
    tables = list(readings(value, max((len(rows[0]) for rows in wanted if rows), default=1)))
    if any(same_rows(table, want, match) for table in tables for want in wanted):
        return Grade(1.0, "correct")
    if not tables:
        return Grade(0.0, "malformed", "the answer is neither a value nor rows of values")
    return _explain(tables[0], wanted[0], match)


def match_of(args: dict[str, Any]) -> Match:
    """The exactness that a task's arguments ask for."""
    decimals = args.get("decimals")
    return Match(ordered=bool(args.get("ordered")), decimals=decimals if isinstance(decimals, int) else None,
                 yes_no=bool(args.get("yes_no")), date_only=bool(args.get("date_only")))


def reference_rows(reference: Any) -> list[Row]:
    """The reference as rows; a bare scalar or a flat list is accepted too. A cell that is no plain value becomes its text."""
    rows = reference if isinstance(reference, list) else [reference]
    return [tuple(_cell(cell) for cell in row) if isinstance(row, list | tuple) else (_cell(row),) for row in rows]


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _targets(key: Key) -> Iterator[list[Row]]:
    """All row sets that count as correct, the reference first."""
    rows = reference_rows(key.reference)
    yield rows
    for other in key.args.get("alternatives", ()):
        yield reference_rows(other)
    for extra in key.args.get("extra_keys", ()):
        if not isinstance(extra, list):
            yield [(*row, extra) for row in rows]
        elif len(extra) == len(rows):
            yield [(*row, cell) for row, cell in zip(rows, extra, strict=True)]


def _explain(table: list[Row], want: list[Row], match: Match) -> Grade:
    """Why an answer is wrong; every branch scores 0."""
    size = f"{len(table)} rows for {len(want)}"
    if match.ordered and same_rows(table, want, match._replace(ordered=False)):
        return Grade(0.0, "near_miss", "the right rows in the wrong order")
    if len(want) == 1 and len(want[0]) == 1:
        if len(table) != 1 or len(table[0]) != 1:
            return Grade(0.0, "wrong", f"one value was asked for: {size}")
        return _explain_cell(table[0][0], want[0][0])
    if same_rows(list(dict.fromkeys(table)), list(dict.fromkeys(want)), match):
        return Grade(0.0, "near_miss", f"the right values, repeated differently: {size}")
    if len(table) <= 2 * len(want):
        given = {tuple(sorted(row_key(row))) for row in table}
        hits = sum(tuple(sorted(row_key(row))) in given for row in want)
        if 2 * hits >= len(want):
            return Grade(0.0, "near_miss", f"{hits} of {len(want)} rows are right")
    return Grade(0.0, "wrong", size)


def _explain_cell(got: Any, want: Any) -> Grade:
    want_number, got_number = as_number(want), as_number(got)
    if want_number is None or got_number is None:
        if (want_number is None) != (got_number is None) or (want is None) != (got is None):
            return Grade(0.0, "wrong_type", f"a {_kind(want)} was asked for, not a {_kind(got)}")
        return Grade(0.0, "wrong")
    if same_value(round(got_number, 2), round(want_number, 2)) or abs(got_number - want_number) <= _NEAR * abs(want_number):
        return Grade(0.0, "near_miss", "a number close to the reference")
    return Grade(0.0, "wrong")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return "truth value" if isinstance(value, bool) else "number" if as_number(value) is not None else "text"
