"""The released gym's rule, with the faults that strict grading closes."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards import ehr_answer, ehr_answer_paper
from rewards.ehr_answer_paper import first_answer, released_rule
from rewards.types import Evidence


def key(reference=None, **args):
    return SimpleNamespace(reference=reference, args=args)


HOLES = {
    "substring": (Evidence(kind="program", has_value=True, value=137, text="137"), key([[37]])),
    "crash with a long traceback": (Evidence(kind="program", status="error", text="Traceback ... line 37"), key([[37]])),
    "print everything": (Evidence(kind="program", text=" ".join(map(str, range(10000)))), key([[4711]])),
    "first of several": (Evidence(kind="program", has_value=True, value=["aspirin"]), key([["aspirin"], ["heparin"]])),
    "True folded": (Evidence(kind="program", text="True"), key([[1]])),
    "None folded": (Evidence(kind="program", text="0"), key([[None]])),
}


@pytest.mark.parametrize("name", HOLES)
def test_known_holes_are_open_here_and_closed_in_strict(name):
    evidence, task = HOLES[name]
    assert ehr_answer_paper.judge(evidence, task).score == 1.0
    assert ehr_answer.judge(evidence, task).score == 0.0


def test_a_right_answer_counts_and_a_wrong_one_does_not():
    assert ehr_answer_paper.judge(Evidence(kind="answer", has_value=True, value=37, text="37"), key([[37]])).success
    assert not ehr_answer_paper.judge(Evidence(kind="answer", has_value=True, value=12, text="12"), key([[37]])).success
    assert ehr_answer_paper.judge(Evidence(kind="abstain"), key(impossible=True)).label == "correct_abstention"
    assert ehr_answer_paper.judge(Evidence(kind="none"), key([[37]])).score == 0.0
    assert ehr_answer_paper.plan(key()).want_text


def test_released_rule_step_by_step():
    assert first_answer([["a", 1], ["b", 2]]) == "a"
    assert released_rule("it is 12", "12.0")
    assert released_rule("b and a", "a, b")
    assert not released_rule("b", "a, b")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8), st.text())
def test_never_raises(value, text):
    evidence = Evidence(kind="answer", has_value=True, value=value, text=text)
    assert ehr_answer_paper.judge(evidence, key(value)).score in (0.0, 1.0)
