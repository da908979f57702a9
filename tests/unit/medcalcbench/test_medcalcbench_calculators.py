"""Every calculator gives the value that a person gets by hand from its definition, in all of its implementations."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.datasets.medcalcbench.calculator import run
from env.datasets.medcalcbench.catalogue import CALCULATORS, HELD_OUT, RULE_IDS, seen, unseen
from env.datasets.medcalcbench.entities import values_from_entities
from env.datasets.medcalcbench.measures import MEASURES, out_of_range

# Worked by hand from the published definitions; the arithmetic is spelled out on purpose.
BY_HAND = {
    5: ({"sbp": 120, "dbp": 75}, (120 + 75 + 75) / 3),
    6: ({"weight": 72.5, "height": 181}, 72.5 / (1.81 * 1.81)),
    10: ({"sex": "female", "height": 165}, 45.5 + 2.3 * (64.960665 - 60)),
    62: ({"sex": "female", "height": 165, "weight": 90}, 56.9095295 + 0.4 * (90 - 56.9095295)),
    60: ({"weight": 70, "height": 170}, 1.8181),
    61: ({"target_bmi": 20.8, "height": 159}, 20.8 * 1.59 * 1.59),
    22: ({"weight": 34}, 40 + 20 + 14),
    11: ({"hr": 131, "qt": 330}, 487.62),
    56: ({"hr": 100, "qt": 330}, 330 / 0.843433),
    57: ({"hr": 75, "qt": 400}, 400 + 154 * 0.2),
    58: ({"hr": 80, "qt": 400}, 400 + 35),
    59: ({"hr": 136, "qt": 330}, 330 * 256 / 180),
    2: ({"sex": "female", "age": 45, "weight": 58, "height": 156, "creatinine": 0.7}, 95 * 48.759 * 0.85 / 50.4),
    3: ({"sex": "female", "age": 32, "creatinine": 0.5}, 142 * 1.08447 * 0.81953 * 1.012),
    9: ({"sex": "female", "age": 66, "creatinine": 5.0}, 175 * 0.742 * 0.15610 * 0.42719),
    40: ({"sodium": 115, "creatinine": 0.5, "urine_sodium": 74, "urine_creatinine": 65}, 0.495),
    39: ({"sodium": 136, "chloride": 101, "bicarbonate": 7}, 28),
    63: ({"sodium": 139, "chloride": 108, "bicarbonate": 4.6}, 14.4),
    64: ({"sodium": 140, "chloride": 105, "bicarbonate": 12}, 11 / 12),
    65: ({"sodium": 174, "chloride": 135, "bicarbonate": 18.5, "albumin": 4.5}, 19.25),
    66: ({"sodium": 125, "chloride": 87, "bicarbonate": 28, "albumin": 3.7}, -1.25),
    7: ({"calcium": 8.6, "albumin": 3.1}, 9.32),
    30: ({"sodium": 131, "bun": 18, "glucose": 70}, 262 + 6.428571 + 3.888889),
    26: ({"sodium": 134, "glucose": 70}, 133.28),
    44: ({"cholesterol": 210, "hdl": 37, "triglycerides": 97}, 153.6),
    19: ({"age": 64, "ast": 60, "alt": 49, "platelets": 150}, 64 * 60 / (150 * 7)),
    31: ({"insulin": 4.8, "glucose": 165}, 1.956),
    38: ({"age": 70, "sex": "female", "weight": 60, "sodium": 154}, 0.45 * 60 * 0.1),
    4: ({"age": 68, "sex": "female", "c": 0, "h": 1, "d": 0, "s": 0, "v": 0}, 3),
    45: ({"age": 57, "bun": 22, "rr": 15, "sbp": 130, "dbp": 87, "c": 0}, 1),
    51: ({"temperature": 35.2, "hr": 80, "rr": 24, "wbc": 3.1}, 3),
    20: ({"age": 50, "temperature": 37.0, "n": 0, "x": 0, "c": 0}, -1),
    21: ({"e": 4, "v": 5, "m": 6}, 15),
    15: ({"bilirubin": 2.2, "albumin": 3.1, "inr": 2.1, "a": 1, "e": 2}, 2 + 2 + 2 + 1 + 2),
    16: ({"a": 0, "b": 0, "c": 1, "v": 0, "e": 0, "t": 0, "p": 0, "i": 0, "h": 0, "o": 1}, -1),
    33: ({"f": 1, "p": 1, "a": 1, "i": 1, "n": 1}, 5),
    13: ({"lmp": "12/11/2013", "cycle": 22}, "09/11/2014"),
    68: ({"lmp": "12/29/2009", "cycle": 31}, "01/15/2010"),
    69: ({"lmp": "10/16/2007", "today": "01/24/2008"}, [14, 2]),
}
ALL = pytest.mark.parametrize("calculator", CALCULATORS.values(), ids=lambda one: str(one.id))


def test_the_catalogue_is_as_wide_as_promised():
    assert len(CALCULATORS) >= 22
    assert len(seen()) >= 15
    assert len(unseen()) >= 4
    assert set(BY_HAND) == set(CALCULATORS)
    assert {one.output for one in CALCULATORS.values()} == {"decimal", "integer", "date", "weeks_days"}
    assert sum(one.output == "integer" for one in CALCULATORS.values()) >= 5
    assert not set(HELD_OUT) & {one.id for one in seen()}


@ALL
def test_worked_by_hand(calculator):
    values, expected = BY_HAND[calculator.id]
    answer = calculator.reference(values)
    if calculator.output == "decimal":
        assert answer == pytest.approx(expected, rel=2e-4, abs=1e-3)
    else:
        assert answer == expected
    calculator.check(answer, calculator.programs(values))


@ALL
def test_documented_example_source_and_shape(calculator):
    values, expected = calculator.example
    assert calculator.reference(values) == expected
    calculator.check(expected, calculator.programs(values))
    assert any(character.isdigit() for character in calculator.source), "a source has a year"
    assert all(len(question) < 140 and question.isascii() for question in calculator.questions)
    assert all(name in MEASURES or name in ("age", "sex", "lmp", "today", "cycle") for name in calculator.needs)
    assert (calculator.output == "integer") == (calculator.id in RULE_IDS)


@ALL
def test_a_wrong_answer_is_refused(calculator):
    values, expected = calculator.example
    wrong = [expected[0] + 1, expected[1]] if isinstance(expected, list) else (
        "01/01/1999" if isinstance(expected, str) else expected * 1.01 + 1)
    with pytest.raises(ValueError, match="disagree"):
        calculator.check(wrong, calculator.programs(values))


def test_limits_are_five_percent_and_ordered():
    assert CALCULATORS[6].limits(20.0) == (19.0, 21.0)
    assert CALCULATORS[63].limits(-10.0) == (-10.5, -9.5)
    assert CALCULATORS[4].limits(3) == (3.0, 3.0)
    assert CALCULATORS[13].limits("01/01/2020") is None


def test_undefined_values_are_refused():
    with pytest.raises(ValueError, match="Delta Ratio"):
        CALCULATORS[64].reference({"sodium": 140, "chloride": 100, "bicarbonate": 24})
    with pytest.raises(ValueError, match="lies after"):
        CALCULATORS[69].reference({"lmp": "01/02/2020", "today": "01/01/2020"})


def test_ranges():
    assert out_of_range({"sodium": 140, "age": 50, "c": 1}) == []
    assert out_of_range({"sodium": 14, "age": 150}) == ["sodium", "age"]


@settings(max_examples=100, deadline=None)
@given(weight=st.floats(40, 160), height=st.integers(140, 205), age=st.integers(18, 95), creatinine=st.floats(0.3, 8),
       sex=st.sampled_from(["male", "female"]))
def test_kidney_function_properties(weight, height, age, creatinine, sex):
    values = {"weight": weight, "height": height, "age": age, "creatinine": creatinine, "sex": sex}
    for number in (2, 3, 9):
        calculator = CALCULATORS[number]
        worse = calculator.compute({**values, "creatinine": creatinine * 1.2})
        older = calculator.compute({**values, "age": age + 1})
        now = calculator.compute(values)
        assert worse < now
        assert older < now
        assert now > 0


@settings(max_examples=100, deadline=None)
@given(hr=st.floats(40, 180), qt=st.floats(250, 600))
def test_qt_corrections_agree_at_sixty_beats_and_move_the_same_way(hr, qt):
    for number in (11, 56, 57, 58, 59):
        corrected = CALCULATORS[number].compute({"hr": hr, "qt": qt})
        assert CALCULATORS[number].compute({"hr": 60, "qt": qt}) == pytest.approx(qt)
        assert (corrected >= qt) == (hr >= 60) or math.isclose(corrected, qt)


@settings(max_examples=100, deadline=None)
@given(start=st.dates(date(1990, 1, 1), date(2040, 12, 31)), cycle=st.integers(20, 40), days=st.integers(0, 300))
def test_pregnancy_dates_fit_together(start, cycle, days):
    lmp = start.strftime("%m/%d/%Y")
    due = CALCULATORS[13].reference({"lmp": lmp, "cycle": cycle})
    conception = CALCULATORS[68].reference({"lmp": lmp, "cycle": cycle})
    assert date(int(due[6:]), int(due[:2]), int(due[3:5])) == start + timedelta(days=252 + cycle)
    assert date(int(conception[6:]), int(conception[:2]), int(conception[3:5])) == start + timedelta(days=cycle - 14)
    weeks, rest = CALCULATORS[69].reference({"lmp": lmp, "today": (start + timedelta(days=days)).strftime("%m/%d/%Y")})
    assert weeks * 7 + rest == days
    assert 0 <= rest < 7


def test_the_runner_reads_what_programs_print():
    assert run("print(1.5)") == 1.5
    assert run("print([3, 4])") == [3, 4]
    assert run('print("01/02/2020")') == "01/02/2020"


@pytest.mark.parametrize(("number", "text", "values"), [
    (6, "{'weight': [150.0, 'lbs'], 'height': [1.7, 'm']}", {"weight": 150 * 0.453592, "height": 170.0}),
    (20, "{'age': [4.0, 'years'], 'Temperature': [98.6, 'degrees fahreinheit'], 'Cough Absent': True}",
     {"age": 4, "temperature": 37.0, "n": 0, "x": 0, "c": 1}),
    (6, "{'weight': [150.0, 'stone'], 'height': [1.7, 'm']}", None), (6, "{'weight': [70.0, 'kg']}", None), (6, "not python", None),
    (6, "[1, 2]", None)])
def test_entities_of_the_real_source(number, text, values):
    found = values_from_entities(CALCULATORS[number], text)
    assert found == (None if values is None else pytest.approx(values))
