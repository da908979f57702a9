"""The error taxonomy: hand-made failures of every family, and that every failed trace has exactly one class."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from error_traces import cases, trace_of
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_factory import make_run, make_trace

from env.datasets import dataset_names
from medcopilot.evaluation.errors import CLASSES, PAPER, PAPER_CLASSES, PUBLISHED, error_class, paper_counts
from medcopilot.evaluation.run_errors import is_nothing
from medcopilot.evaluation.summary import summarise
from medcopilot.trace import GradeRecord, Turn

WORDS = st.sampled_from(["", "(no rows)", "1", "Error: no such column: x", "KeyError: 'x'", "[error, exit code 1]", "None", "\0",
                         "{"])
LABELS = ["wrong", "near_miss", "wrong_type", "malformed", "unsupported", "error", "no_submission", "abstained", "another", ""]


@pytest.mark.parametrize(("name", "line"), cases(), ids=lambda part: part if isinstance(part, str) else "")
def test_hand_made_failures(name, line):
    assert error_class(trace_of(line)) == name


def test_the_hand_made_failures_cover_every_class_and_every_dataset():
    counts = Counter(name for name, _ in cases())
    assert counts.keys() == CLASSES.keys()
    assert counts.total() >= 150
    assert min(counts.values()) >= 5
    assert {line.get("data", "mimic_iii") for _, line in cases()} == set(dataset_names())


turns = st.builds(
    Turn, reply=WORDS, action=st.sampled_from([None, "request_info", "terminal", "code_execution", "debugging", "submit"]),
    params=st.fixed_dictionaries({}, optional={"code": WORDS, "language": st.sampled_from(["python", "sql"]), "command": WORDS}),
    problem=st.sampled_from(["", "", "format", "schema"]), observation=st.lists(WORDS, max_size=3).map("\n".join),
    execution=st.none() | st.fixed_dictionaries({"status": st.sampled_from(["ok", "error", "timeout_soft", "oom", "died", "?"])}))
submissions = st.none() | st.fixed_dictionaries(
    {"kind": st.sampled_from(["program", "answer", "files", "state", "abstain"])},
    optional={"program": WORDS, "language": st.sampled_from(["python", "sql"]),
              "answer": st.none() | WORDS | st.lists(st.integers())})
grades = st.builds(GradeRecord, score=st.none() | st.sampled_from([0.0, 0.3, 1.0]), label=st.sampled_from(LABELS), detail=WORDS)


@settings(max_examples=300, deadline=None)
@given(turns=st.lists(turns, max_size=8), given_=submissions, grade=grades, impossible=st.booleans(),
       stop=st.sampled_from(["submit", "turns", "context", "loop", "success", "no_reply", "infrastructure"]))
def test_every_failure_has_exactly_one_class_and_no_success_has_one(turns, given_, grade, impossible, stop):
    trace = make_trace(False, turns=turns, submission=given_, stop=stop, impossible=impossible,
                       grades={"strict": grade, "paper": grade})
    found = error_class(trace)
    if stop == "infrastructure" or grade.score is None:
        assert found == "infrastructure"
    elif grade.score == 1.0:
        assert found == ""
    else:
        assert found in CLASSES.keys() - {"infrastructure"}
    assert found == error_class(trace.model_copy(deep=True))


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_output_is_nothing_or_something(text):
    assert is_nothing(text) in (True, False)
    assert not is_nothing(f"{text}\n7")


def test_counts_of_a_summary_add_up_to_its_failures():
    masked = make_trace(None, stop="infrastructure")
    acts = summarise([*make_run(0.5), masked]).behaviour
    failed = summarise(make_run(0.5)).overall.strict
    assert sum(acts.errors.values()) - 1 == sum(acts.paper_errors.values()) == failed.n - failed.successes
    assert acts.errors["infrastructure"] == 1
    assert list(acts.paper_errors) == list(PAPER_CLASSES)


def test_the_papers_classes():
    assert set(PAPER.values()) | {"other"} == set(PAPER_CLASSES)
    assert PUBLISHED.keys() <= set(PAPER_CLASSES)
    assert paper_counts({"loop": 2, "missing_file": 1, "missing_column": 3, "near_miss": 4, "infrastructure": 9}) == {
        "stuck in a loop": 2, "runtime": 3, "I/O": 1, "syntax": 0, "other": 4}


def test_the_document_lists_every_class_with_its_meaning_and_the_papers(repository: Path):
    text = (repository / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)}
    assert {name: meaning for name, (meaning, _) in rows.items()} == CLASSES
    assert {name: paper for name, (_, paper) in rows.items()} == {
        name: "–" if name == "infrastructure" else PAPER.get(name, "other") for name in CLASSES}
