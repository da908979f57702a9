"""The released gym's rule, with the holes it is known for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.medcalc_paper import judge, plan
from rewards.types import Evidence


def run(text, reference, status="ok", **rest):
    return judge(Evidence(kind="program", text=text, status=status, **rest), SimpleNamespace(reference=reference, args={}))


@pytest.mark.parametrize("constant", ["0", "1", "10", "23.4\n", "1e9", "inf"])
def test_any_constant_passes_where_the_reference_is_a_number(constant):
    assert run(constant, 23.4).score == 1.0


def test_for_negative_answers_only_the_right_ones_fail():
    assert run("-10", -10).score == 0.0
    assert run("-20", -10).score == 1.0
    assert run("5", -10).score == 1.0


def test_the_exit_status_is_ignored():
    assert run("5", 23.4, status="error").score == 1.0


@pytest.mark.parametrize(("text", "reference"), [("", 23.4), ("BMI 23.4", 23.4), ("1\n2", 1), ("nan", 1),
                                                 ("09/12/2014", "09/12/2014"), ("14", [14, 1]),
                                                 ("(14 weeks, 1 days)", [14, 1]), ("5", None)])
def test_what_is_no_float_fails(text, reference):
    assert run(text, reference).score == 0.0


def test_a_value_stands_in_for_silence():
    assert run("", 3, has_value=True, value=3).score == 1.0


def test_abstaining_and_silence_earn_nothing():
    key = SimpleNamespace(reference=None, args={"impossible": True})
    assert judge(Evidence(kind="abstain"), key).score == 0.0
    assert judge(Evidence(kind="none"), key).score == 0.0


def test_an_answer_is_read_as_text():
    assert judge(Evidence(kind="answer", has_value=True, value=23, text="23"), SimpleNamespace(reference=23, args={})).score == 1.0


def test_it_asks_for_the_text():
    assert plan(SimpleNamespace(reference=1, args={})).want_text


@given(st.text(max_size=30), st.floats(allow_nan=True) | st.integers() | st.text(max_size=5) | st.none())
def test_it_never_raises(text, reference):
    assert run(text, reference).score in (0.0, 1.0)
