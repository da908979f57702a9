"""The strict grader of clinical calculations accepts what is right in any reasonable form, and nothing else."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.medcalc import judge, plan
from rewards.types import Evidence


def key(reference: Any, kind: str = "decimal", **args: Any) -> Any:
    if kind == "decimal" and "lower" not in args and reference is not None:
        args["lower"], args["upper"] = sorted((reference * 0.95, reference * 1.05))
    return SimpleNamespace(reference=reference, args={"output_type": kind, **args})


def grade(value: Any, the_key: Any, **rest: Any):
    return judge(Evidence(kind="answer", has_value=True, value=value, text=str(value), **rest), the_key)


BMI = key(23.4)
SCORE = key(3, "integer")
DAY = key("09/12/2014", "date")
AGE = key([14, 1], "weeks_days")


@pytest.mark.parametrize("value", [23.4, 23.41, 24.5, 22.3, "23.4", " 23.4 kg/m2", "23.4 kg/m^2", "23.4 kg/m²", [23.4], ["23.4"],
                                   {"bmi": 23.4}, "BMI: 23.4", "bmi = 23.4", "The BMI is 23.4 kg/m2.", "23.400", "2.34e1",
                                   "(23.4,)", "[23.4]", "'23.4'"])
def test_right_decimals_in_many_forms(value):
    assert grade(value, BMI).score == 1.0


@pytest.mark.parametrize("value", [24.58, 22.22, 0, 1, 10, -5, -23.4, 234, "23.4 24.1", "23 or 24", "20-30", [23.4, 23.5], [], {},
                                   None, True, False, "", "unknown", float("nan"), float("inf"), "nan", "inf", 10**400, "1e999",
                                   "9" * 5000, {"a": 23.4, "b": 1}, "1,2", "BMI 23.4 then 25", "23.4.1", "0x17"])
def test_wrong_or_unreadable_decimals(value):
    verdict = grade(value, BMI)
    assert verdict.score == 0.0
    assert verdict.label in ("wrong", "near_miss", "wrong_type", "malformed")


@pytest.mark.parametrize("text", ["38.256 mL/min/1.73 m2", "38.256 mL/min/1.73m²", "38.256 mL/min", "eGFR: 38.256"])
def test_a_unit_may_hold_digits(text):
    assert grade(text, key(38.256)).score == 1.0


def test_thousands_and_percent():
    assert grade("1,234.5 mL", key(1234.5)).score == 1.0
    assert grade("0.495%", key(0.495)).score == 1.0


def test_negative_and_zero_limits():
    assert grade(-0.83, key(-0.828)).score == 1.0
    assert grade(0.828, key(-0.828)).score == 0.0
    assert grade(12.000000000000002 - 12, key(0.0)).score == 1.0
    assert grade(0.01, key(0.0)).score == 0.0
    assert grade(-0.83, key(-0.828, lower=-0.7866, upper=-0.8694)).score == 1.0, "limits in either order"


@pytest.mark.parametrize(("value", "words"), [(4200, "a factor of 100,"), (0.042, "a factor of 1000,"), (756, "a factor of 18,"),
                                              (0.475, "a factor of 88.4,"), (60, "outside the limits by 15.9"), (-4200, "outside"),
                                              (0, "outside"), (45, "outside the limits by 0.9")])
def test_a_wrong_unit_is_named_in_the_detail_and_is_wrong_all_the_same(value, words):
    verdict = grade(value, key(42))
    assert (verdict.score, words in verdict.detail) == (0.0, True)
    assert ("units" in verdict.detail) == ("factor" in words)


@pytest.mark.parametrize("value", [3, 3.0, "3", "3.0", [3], {"score": 3}, "CHA2DS2-VASc: 3", "3 points"])
def test_right_scores(value):
    assert grade(value, SCORE).score == 1.0


@pytest.mark.parametrize(("value", "label"), [(4, "near_miss"), (2, "near_miss"), (9, "wrong"), (True, "wrong_type"),
                                              ("2 or 3", "malformed"), ([3, 4], "wrong_type"), (None, "wrong_type")])
def test_wrong_scores(value, label):
    verdict = grade(value, SCORE)
    assert (verdict.score, verdict.label) == (0.0, label)


def test_booleans_are_no_scores():
    assert grade(True, key(1, "integer")).score == 0.0


@pytest.mark.parametrize("value", ["09/12/2014", "9/12/2014", "09/12/14", "2014-09-12", "2014-09-12 00:00:00",
                                   "2014-09-12T00:00:00Z", "September 12, 2014", "12 Sep 2014", ["09/12/2014"],
                                   {"date": "2014-09-12"}, "09-12-2014"])
def test_right_dates(value):
    assert grade(value, DAY).score == 1.0


@pytest.mark.parametrize("value", ["12/09/2014", "09/13/2014", "09/12/2015", "09/12/2014 or 09/13/2014", 20140912, "", None,
                                   "13/45/2014", ["09/12/2014", "09/13/2014"], "2014-09-12 13:00:00"])
def test_wrong_dates(value):
    assert grade(value, DAY).score == 0.0


@pytest.mark.parametrize("value", [[14, 1], [14.0, 1.0], "(14 weeks, 1 days)", "(14 weeks, 1 day)", "14 weeks 1 day", "14w1d",
                                   "14+1", "14 weeks and 1 day", {"weeks": 14, "days": 1}, {"week": 14, "day": 1},
                                   ["14 weeks", "1 days"],
                                   "('14 weeks', '1 days')", "[14, 1]", "14 1", [[14, 1]], {"answer": [14, 1]}, ["14", "1"]])
def test_right_gestational_ages(value):
    assert grade(value, AGE).score == 1.0


@pytest.mark.parametrize("value", [[14, 2], [1, 14], 99, "141", "141 days", "99 days", [14, 1, 0], [14], "14 weeks", 14.1, None,
                                   {}, {"weeks": 14}, ["14 days", "1 weeks"], [14.5, 1], [True, 1], "14.1",
                                   "-14, 1", "14 weeks 1 day 3"])
def test_wrong_gestational_ages(value):
    assert grade(value, AGE).score == 0.0


def test_abstaining_is_right_exactly_where_the_note_cannot_answer():
    impossible = key(None, "decimal", impossible=True)
    assert judge(Evidence(kind="abstain"), impossible).label == "correct_abstention"
    assert judge(Evidence(kind="abstain"), impossible).score == 1.0
    assert (judge(Evidence(kind="abstain"), BMI).score, judge(Evidence(kind="abstain"), BMI).label) == (0.0, "abstained")
    assert grade(23.4, impossible).score == 0.0
    assert grade(None, impossible).score == 0.0, "silence is never abstention"
    assert judge(Evidence(kind="none"), impossible).score == 0.0


def test_programs():
    good = Evidence(kind="program", has_value=True, value="23.4", text="23.4\n")
    assert judge(good, BMI).score == 1.0
    crashed = Evidence(kind="program", status="error", has_value=True, value=23.4, text="Traceback ... 23.4")
    assert (judge(crashed, BMI).score, judge(crashed, BMI).label) == (0.0, "error")
    silent = Evidence(kind="program", has_value=False)
    assert judge(silent, BMI).score == 0.0
    flood = Evidence(kind="program", has_value=True, value="\n".join(map(str, range(10000))))
    assert judge(flood, BMI).score == 0.0
    odd = judge(Evidence(kind="program", unsupported="Spam"), BMI)
    assert (odd.score, odd.label) == (0.0, "unsupported")
    assert judge(Evidence(kind="none"), BMI).label == "no_submission"
    assert judge(Evidence(kind="files"), BMI).label == "wrong_type"


def test_the_plan_is_data():
    assert plan(BMI).run_program
    assert plan(BMI).want_value


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                    max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(value=JSON, reference=st.sampled_from([BMI, SCORE, DAY, AGE, key(None, impossible=True), key(None), key("x", "date")]))
def test_it_never_raises(value, reference):
    verdict = grade(value, reference)
    assert verdict.score in (0.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(reference=st.floats(0.01, 5000), factor=st.floats(0.5, 1.5), sign=st.sampled_from([-1, 1]))
def test_five_percent_and_not_more(reference, factor, sign):
    value = sign * reference * factor
    expected = 1.0 if 0.95 <= factor <= 1.05 else 0.0
    if min(abs(factor - 0.95), abs(factor - 1.05)) > 1e-6:
        assert grade(value, key(sign * reference)).score == expected
        assert grade(f"{value:.12g} mg/dL", key(sign * reference)).score == expected


@settings(max_examples=100, deadline=None)
@given(weeks=st.integers(0, 45), days=st.integers(0, 6), other=st.integers(0, 45))
def test_gestational_age_forms_agree(weeks, days, other):
    the_key = key([weeks, days], "weeks_days")
    for value in ([weeks, days], f"({weeks} weeks, {days} days)", f"{weeks}w{days}d", {"weeks": weeks, "days": days}):
        assert grade(value, the_key).score == 1.0
    assert grade([other, days], the_key).score == float(other == weeks)


def test_hostile_text_is_fast():
    start = time.thread_time()
    for text in ("a" * 200, "a " * 100, "a-" * 100, "1" * 200, "1,111" * 40, "(" * 200,
                 "1" + "m-1" * 60, "is " * 66, "1 " + " " * 190):
        grade(text, BMI)
        grade(text, AGE)
        grade(text, DAY)
    assert time.thread_time() - start < 1.0
