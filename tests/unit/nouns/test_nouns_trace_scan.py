"""Traces without their token lists are the same traces; nothing that a policy writes changes what is read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.errors import UserError
from medcopilot.runs import RunFolder
from medcopilot.trace import GradeRecord, Tokens, Trace, Turn, outcome_of, write_line
from medcopilot.trace_scan import Counts, cut_tokens, scan_line, scan_traces

TOKENS = Tokens(ids=[1, 12, 113], mask=[0, 1, 1], logprobs=[0.0, -0.5, -1e-7], versions=[-1, 3, 3])
FORGED = {"a": [1], "tokens": {"ids": [7], "mask": [1], "logprobs": [0.0], "versions": [0]}, "stop": "x"}


def a_trace(**changes) -> Trace:
    grade = GradeRecord(score=1.0, label="correct")
    fields = {"id": "i", "task_id": "t", "dataset": "d", "category": "c", "template": "t", "split": "test", "slice": "seen",
              "cluster": "t/0", "licence": "synthetic", "policy": "p", "messages": [{"role": "user", "content": "é"}],
              "turns": [Turn(reply="x", sampled_tokens=7)], "stop": "submit", "grades": {"strict": grade, "paper": grade},
              "tokens": TOKENS}
    return Trace(**{**fields, **changes})


@pytest.mark.parametrize("tokens", [TOKENS, None, Tokens(ids=[], mask=[], logprobs=[], versions=[])])
@pytest.mark.parametrize("params", [{}, FORGED, {"deep": [FORGED, FORGED]}, {"text": json.dumps(FORGED)}])
def test_only_the_tokens_are_gone_whatever_stands_in_the_parameters(tokens, params):
    trace = a_trace(tokens=tokens, turns=[Turn(reply="x", action="submit", params=params)] * 2,
                    submission={"kind": "answer", "answer": params})
    for line in (write_line(trace), json.dumps(trace.model_dump()) + "\n"):  # compact as we write it, and as others may
        found = scan_line(line.encode())
        assert found.model_dump() == {**trace.model_dump(), "tokens": None}
        assert (found.context_tokens, found.sampled_tokens) == (trace.context_tokens, trace.sampled_tokens)


def test_turns_cannot_be_hidden_between_two_halves_of_forged_tokens():
    opening, closing = Turn(reply="1", params={"x": {"a": [1], "tokens": {"ids": [1], "mask": [], "logprobs": []}}}), \
        Turn(reply="3", params={"x": {"a": [1], "versions": [1]}, "stop": "x"})
    trace = a_trace(tokens=None, turns=[opening, Turn(reply="hidden"), closing])
    assert [turn.reply for turn in scan_line(write_line(trace).encode()).turns] == ["1", "hidden", "3"]


def test_the_lists_are_cut_from_what_we_write():
    line = write_line(a_trace()).encode()
    cut, counts = cut_tokens(line)
    assert counts == Counts(tokens=3, sampled=2)
    assert b"113" not in cut
    assert cut_tokens(write_line(a_trace(tokens=None)).encode()) is None


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_comes_back(text):
    trace = a_trace(turns=[Turn(reply=text, observation=text, params={text: [text]})])
    assert scan_line(write_line(trace).encode()).turns == trace.turns


def test_a_scan_says_where_a_trace_lies_and_what_is_wrong(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    with run.writer() as writer:
        for name in "abc":
            writer.write(a_trace(id=name))
    assert [trace.place.read() for trace in run.scan()] == list(run.traces())
    shard = run.traces_dir / "main.jsonl"
    whole = shard.read_bytes()
    shard.write_bytes(whole + whole[:50])
    torn: list[str] = []
    assert [trace.id for trace in scan_traces(shard, torn)] == ["a", "b", "c"]
    assert torn == [f"{shard} line 4"]
    shard.write_bytes(whole + whole[:50] + b"\n")
    with pytest.raises(UserError, match=r"line 4: not a trace .* delete that line"):
        list(run.scan())
    shard.write_bytes(whole.replace(b'"version":1', b'"version":9'))
    with pytest.raises(UserError, match="line 1: trace version 9 is not 1"):
        list(run.scan())


@pytest.mark.parametrize(("stop", "strict", "paper", "expected"), [
    ("submit", 1.0, 0.0, "success"), ("submit", 0.0, 1.0, "paper only"), ("turns", 0.5, 0.5, "failure"),
    ("submit", 0.0, None, "failure"), ("submit", None, 1.0, "ungraded"), ("infrastructure", 1.0, 1.0, "ungraded")])
def test_one_rule_of_outcomes_for_traces_and_for_the_index(tmp_path, stop, strict, paper, expected):
    assert outcome_of(stop, strict, paper) == expected
    grades = {"strict": GradeRecord(score=strict, label="l"), "paper": GradeRecord(score=paper, label="m")}
    run = RunFolder.create(tmp_path / "r", {})
    with run.writer() as writer:
        writer.write(a_trace(stop=stop, grades=grades))
    run.index.refresh()
    (row,) = run.index.rows()
    assert (row["outcome"], row["label"]) == (expected, "l")
    assert [trace.outcome for trace in run.traces()] == [expected]
