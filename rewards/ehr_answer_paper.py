"""The released gym's grader of patient-database questions, fault for fault, so that published numbers can be compared.

Promises: the faults that were measured in the released code and no others: the reference is searched as a *substring* of the
printed text; how the program ended is ignored; of several answers only the first is checked; True, False and None are folded
into 1, 0 and 0; a reference with commas counts as correct when its parts occur anywhere. Never used for training unless the
recipe's name says so. Unanswerable questions were not part of the released set: here abstaining is correct for them.
Source: the mimic_iii, eicu and treqs tasks of the gym's public repository, June 2025.
"""

from __future__ import annotations

from typing import Any

from rewards.types import Evidence, EvidencePlan, Grade, Key

_FOLDED = {"True": "1", "true": "1", "False": "0", "false": "0", "None": "0", "none": "0"}


def plan(key: Key) -> EvidencePlan:
    """Run the program and collect all that it printed."""
    return EvidencePlan(run_program=True, want_value=True, want_text=True)


def judge(evidence: Evidence, key: Key) -> Grade:
    """1 where the released rule says so; never ungraded, since text can always be searched."""
    impossible = bool(key.args.get("impossible"))
    if evidence.kind == "none":
        return Grade(0.0, "no_submission")
    if evidence.kind == "abstain":
        return Grade(1.0, "correct_abstention") if impossible else Grade(0.0, "abstained")
    if impossible:
        return Grade(0.0, "wrong", "the data cannot answer the question")
    if released_rule(_searched(evidence), first_answer(key.reference)):
        return Grade(1.0, "correct", "the reference occurs in the text")
    return Grade(0.0, "wrong", "the reference does not occur in the text")


def first_answer(reference: Any) -> str:
    """The first of several answers as text."""
    while isinstance(reference, list | tuple) and reference:
        reference = reference[0]
    return "" if reference == [] else str(reference)


def released_rule(printed: str, answer: str) -> bool:
    """Whether `answer` occurs in `printed` as it stands, or all its comma-separated parts do after folding."""
    if answer in printed:
        return True
    folded = printed.replace("True", "1") if "True" in printed else printed.replace("False", "0")
    answer = _FOLDED.get(answer, answer)
    parts = answer.split(", ") if ", " in answer else [answer.removesuffix(".0")]
    return all(part in folded for part in parts)


def _searched(evidence: Evidence) -> str:
    """Printed text, and the value where there is one: the released gym printed the variable `answer`."""
    parts = [evidence.text]
    if evidence.has_value:
        try:
            parts.append(str(evidence.value))
        except (ValueError, RecursionError):  # integers of more than 4,300 digits have no text
            parts.append("")
    return "\n".join(part for part in parts if part)
