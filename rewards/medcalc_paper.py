"""The released gym's grader of clinical calculations, fault for fault, so that published numbers can be compared.

The rule, with `pred` the whole printed text read as one number:

    float(reference) >= 0.95 * pred  or  float(reference) <= 1.05 * pred

It is an `or` where an `and` is meant, so every positive constant passes wherever the reference is a number, and for negative
answers only the *correct* ones fail. The exit status is ignored; dates and gestational ages never pass, because they are no
floats; abstaining does not exist. Never train on it and never report it without the strict column beside it.
"""

from __future__ import annotations

from rewards.types import Evidence, EvidencePlan, Grade, Key


def plan(key: Key) -> EvidencePlan:
    """Run a submitted program once and collect its text; the value stands in when nothing was printed."""
    return EvidencePlan(want_text=True)


def judge(evidence: Evidence, key: Key) -> Grade:
    """Grade the printed text; any failure to read it as a number is 0, as in the released code."""
    if evidence.kind not in ("program", "answer"):
        return Grade(0.0, "abstained" if evidence.kind == "abstain" else "no_submission")
    try:
        # The released runner appends `print(answer)` to programs that print nothing.
        text = evidence.text if evidence.text.strip() or not evidence.has_value else str(evidence.value)
        pred = float(text)
        reference = float(key.reference)
    except (TypeError, ValueError, OverflowError) as problem:
        return Grade(0.0, "malformed", f"not comparable as numbers ({type(problem).__name__})")
    passed = reference >= pred * 0.95 or reference <= pred * 1.05
    return Grade(1.0, "correct") if passed else Grade(0.0, "wrong")
