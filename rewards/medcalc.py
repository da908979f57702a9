"""Strict grader of clinical calculations: MedCalc-Bench's own rule, hardened.

Promises: decimals lie within the row's stored limits, rule scores are equal after rounding, dates are the same day, gestational
ages agree in weeks and days, abstaining is right exactly where the note cannot answer. One answer only: text with several
numbers is not searched for a lucky one. `judge` never raises, whatever JSON it is given.
Rule: Khandekar et al., MedCalc-Bench, NeurIPS 2024, `evaluation/evaluate.py` (`check_correctness`).
Does not cover: how the program was run (`env.grading`) and the released gym's looser rule (`rewards.medcalc_paper`).
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from typing import Any

from rewards.types import Evidence, EvidencePlan, Grade, Key

MAX_TEXT = 200
"""Characters of an answer given as text; longer ones are not answers."""
MAX_MAGNITUDE = 1e12
"""Larger numbers are no clinical value."""
SLACK = 1e-9
"""Absolute room at the limits, so that 12.000000000000002 - 12 counts as 0."""
_FACTORS = (10, 100, 1000, 1_000_000, 24, 60, 18, 88.4, 2.2046, 2.54)
"""Between usual units: decimal ones, hours and days, minutes and hours, mg/dL and mmol/L of glucose, umol/L and mg/dL of
creatinine, pounds and kilograms, centimetres and inches. Only the detail of a wrong answer names one."""

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_WORD = r"[A-Za-z][\w/()%\-]*"
_LABEL = rf"(?:{_WORD}(?:\s+{_WORD}){{0,7}}\s*(?:[:=]|\bis\b|\bwas\b)\s*)?"
_UNIT = r"(?:/1\.73|\^-?\d|(?<=[A-Za-z])-?\d|[A-Za-zµμ%°²³·*()/^\s]|\.(?!\d)){0,40}"
_VALUE = re.compile(rf"{_LABEL}(?:(?:~|≈|about\s)\s*)?({_NUMBER})(?!\d|[.,]\d)\s*{_UNIT}")
_WEEKS = re.compile(r"[(\[]?\s*['\"]?(\d{1,3})(?!\d)\s*(?:weeks?|wks?|w)?\s*['\"]?\s*(?:,|\+|and|&)?\s*['\"]?(?<!\d)(\d{1,3})"
                    r"\s*(?:days?|d)?\s*['\"]?\s*[)\]]?\.?", re.IGNORECASE)
_DATE_FORMATS = ("%m/%d/%Y", "%m/%d/%y", "%Y-%m-%d", "%Y/%m/%d", "%m-%d-%Y", "%B %d, %Y", "%b %d, %Y", "%B %d %Y", "%b %d %Y",
                 "%d %B %Y", "%d %b %Y")
_TIME_OF_DAY = re.compile(r"[ T]00:00(?::00(?:\.0+)?)?(?:Z|\+00:00)?$")


class _Unusable(Exception):
    """The answer has no reading of the wanted type; `label` says in which way."""

    def __init__(self, label: str, detail: str) -> None:
        super().__init__(detail)
        self.label = label


def plan(key: Key) -> EvidencePlan:
    """Run a submitted program once and collect its value."""
    return EvidencePlan()


def judge(evidence: Evidence, key: Key) -> Grade:
    """Compare one submission with the row's reference.

    Args:
        evidence: value of the answer or of the program's run.
        key: `args` holds `output_type` (`decimal`, `integer`, `date`, `weeks_days`), `lower` and `upper` (decimals, in the
            reference's unit) and `impossible` (abstaining is correct).
    """
    impossible = bool(key.args.get("impossible"))
    if evidence.kind == "abstain":
        return Grade(1.0, "correct_abstention") if impossible else Grade(0.0, "abstained", "the note holds all that is needed")
    early = _no_value(evidence)
    if early is not None:
        return early
    if impossible:
        return Grade(0.0, "wrong", "a value that is needed is missing from the note: abstaining was correct")
    try:
        return _compare(evidence.value, key)
    except _Unusable as problem:
        return Grade(0.0, problem.label, str(problem))
    except (ValueError, OverflowError, RecursionError, TypeError) as problem:
        return Grade(0.0, "malformed", f"the answer cannot be read ({type(problem).__name__})")


def _no_value(evidence: Evidence) -> Grade | None:
    """A verdict when there is nothing to compare."""
    if evidence.kind == "none":
        return Grade(0.0, "no_submission")
    if evidence.kind not in ("program", "answer"):
        return Grade(0.0, "wrong_type", f"a value is asked for, not {evidence.kind}")
    if evidence.kind == "program" and evidence.status != "ok":
        return Grade(0.0, "error", f"the program ended with status {evidence.status}")
    if evidence.unsupported:
        return Grade(0.0, "unsupported", f"a value of type {evidence.unsupported} is not an answer")
    if not evidence.has_value:
        return Grade(0.0, "malformed", "the program gave no value: set `answer` or print it")
    return None


def _compare(value: Any, key: Key) -> Grade:
    kind = key.args.get("output_type", "decimal")
    if kind == "date":
        return _grade_days(_as_date(value).toordinal() - _as_date(key.reference).toordinal())
    if kind == "weeks_days":
        weeks, days = _as_weeks_days(value)
        true_weeks, true_days = _as_weeks_days(key.reference)
        if (weeks, days) == (true_weeks, true_days):
            return Grade(1.0, "correct")
        return Grade(0.0, "near_miss" if abs(weeks * 7 + days - true_weeks * 7 - true_days) <= 7 else "wrong")
    number, reference = _as_number(value), _as_number(key.reference)
    if kind == "integer":
        off = abs(round(number) - round(reference))
        return Grade(1.0, "correct") if off == 0 else Grade(0.0, "near_miss" if off == 1 else "wrong", f"off by {off}")
    lower, upper = sorted((_as_number(key.args.get("lower", reference)), _as_number(key.args.get("upper", reference))))
    if lower - SLACK <= number <= upper + SLACK:
        return Grade(1.0, "correct")
    near = abs(number - reference) <= 0.10 * abs(reference)
    outside = f"outside the limits by {max(lower - number, number - upper):.6g}"
    if near:
        return Grade(0.0, "near_miss", outside)
    unit = next((factor for factor in _FACTORS if lower <= number / factor <= upper or lower <= number * factor <= upper), None)
    return Grade(0.0, "wrong", f"{outside}; a factor of {unit:g}, as between units" if unit else outside)


def _grade_days(off: int) -> Grade:
    if off == 0:
        return Grade(1.0, "correct")
    return Grade(0.0, "near_miss" if abs(off) <= 7 else "wrong", f"off by {off} days")


def _single(value: Any) -> Any:
    """The only element of a list or dict, through three levels."""
    for _ in range(3):
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        elif isinstance(value, dict) and len(value) == 1:
            value = next(iter(value.values()))
        else:
            break
    return value


def _text(value: str) -> str:
    if len(value) > MAX_TEXT:
        raise _Unusable("malformed", f"text of {len(value)} characters is not an answer")
    # single blanks only: the patterns below try every split of a run of blanks
    text = " ".join(value.strip().strip("'\"").split())
    if not text:
        raise _Unusable("malformed", "the answer is empty")
    return text


def _as_number(value: Any) -> float:
    """A finite number from a JSON number or from text with one number and at most a name and a unit around it."""
    value = _single(value)
    if isinstance(value, bool) or value is None or not isinstance(value, int | float | str):
        raise _Unusable("wrong_type", f"one number is asked for, not {type(value).__name__}")
    if isinstance(value, str):
        text = _text(value)
        if text[0] in "([" and text[-1] in ")]":
            text = text[1:-1].strip().strip("'\"").rstrip(",")
        found = _VALUE.fullmatch(text)
        if found is None:
            raise _Unusable("malformed", "the text is not one number with its unit")
        value = float(found.group(1).replace(",", ""))
    if isinstance(value, float) and not math.isfinite(value):
        raise _Unusable("malformed", "the answer is not a finite number")
    if abs(value) > MAX_MAGNITUDE:
        raise _Unusable("wrong", "the number is too large to be a clinical value")
    return float(value)


def _as_date(value: Any) -> date:
    """A day from text in one of the usual formats; a time of day is accepted when it is midnight."""
    value = _single(value)
    if not isinstance(value, str):
        raise _Unusable("wrong_type", f"a date is asked for, not {type(value).__name__}")
    text = _TIME_OF_DAY.sub("", _text(value)).rstrip(".")
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise _Unusable("malformed", "the text is not one date (write MM/DD/YYYY)")


def _as_weeks_days(value: Any) -> tuple[int, int]:
    """Whole weeks and days from a pair, a dict with `weeks` and `days`, or text."""
    if isinstance(value, dict) and len(value) == 2:
        keys = {str(name).lower().rstrip("s"): part for name, part in value.items()}
        if set(keys) == {"week", "day"}:
            value = [keys["week"], keys["day"]]
    value = _single(value)
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, str) for part in value):
        value = ", ".join(value)
    if isinstance(value, str):
        found = _WEEKS.fullmatch(_text(value))
        if found is None:
            raise _Unusable("malformed", "the text is not one number of weeks and one of days")
        return int(found.group(1)), int(found.group(2))
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _Unusable("wrong_type", "weeks and days are asked for: [weeks, days]")
    weeks, days = (_as_number(part) for part in value)
    if weeks != int(weeks) or days != int(days):
        raise _Unusable("wrong", "weeks and days must be whole numbers")
    return int(weeks), int(days)
