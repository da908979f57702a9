"""Run folders: resume, refuse, rebuild, survive a torn line."""

import pytest

from env.errors import UserError
from medcopilot.runs import RunFolder
from medcopilot.trace import GradeRecord, Tokens, Trace, read_traces, write_line


def make_trace(name="t1", **changes):
    fields = {"id": name, "task_id": "task", "dataset": "d", "category": "c", "template": "t", "split": "test", "slice": "seen",
              "cluster": "t/0", "licence": "synthetic", "policy": "p", "messages": [], "turns": [], "stop": "submit",
              "tokens": Tokens(ids=[5, 6], mask=[0, 1], logprobs=[0.0, -0.5], versions=[-1, 3]),
              "grades": {"strict": GradeRecord(score=1.0, label="correct"), "paper": GradeRecord(score=1.0, label="correct")}}
    return Trace(**{**fields, **changes})


def test_a_trace_survives_the_round_trip(tmp_path):
    trace = make_trace()
    (tmp_path / "a.jsonl").write_text(write_line(trace))
    assert list(read_traces(tmp_path / "a.jsonl")) == [trace]


def test_a_torn_last_line_is_owed_again_and_a_torn_middle_is_an_error(tmp_path):
    path, torn = tmp_path / "a.jsonl", []
    path.write_text(write_line(make_trace("t1")) + write_line(make_trace("t2"))[:40])
    assert [t.id for t in read_traces(path, torn)] == ["t1"]
    assert len(torn) == 1
    path.write_text(write_line(make_trace("t1"))[:40] + "\n" + write_line(make_trace("t2")))
    with pytest.raises(UserError, match=r"a\.jsonl line 1"):
        list(read_traces(path))


def test_another_version_is_refused_with_the_cure(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"version": 99}\n')
    with pytest.raises(UserError, match="sample again"):
        list(read_traces(tmp_path / "a.jsonl"))


def test_tokens_must_have_one_length():
    with pytest.raises(ValueError, match="same length"):
        Tokens(ids=[1], mask=[], logprobs=[], versions=[])


def test_the_same_config_resumes_and_another_is_refused(tmp_path):
    RunFolder.create(tmp_path / "r", {"seed": 1})
    RunFolder.create(tmp_path / "r", {"seed": 1})
    with pytest.raises(UserError, match=r"another config .different: seed"):
        RunFolder.create(tmp_path / "r", {"seed": 2})


def test_done_counts_what_is_on_disk_whatever_the_index_says(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    with run.writer() as writer:
        writer.write(make_trace("t1"))
        writer.write(make_trace("t2", stop="infrastructure"))
    assert run.done() == {"t1"}  # the masked one is owed again
    with (run.traces_dir / "main.jsonl").open("ab") as handle:
        handle.write(write_line(make_trace("t3")).encode()[:50])  # stopped in mid-line
    with run.writer() as writer:
        writer.write(make_trace("t4"))
    assert run.done() == {"t1", "t4"}
    (run.path / "index.sqlite").write_bytes(b"not a database")
    assert run.done() == {"t1", "t4"}
    (run.path / "index.sqlite").unlink()
    assert run.done() == {"t1", "t4"}


def test_reading_something_else_names_the_cure(tmp_path):
    with pytest.raises(UserError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        list(read_traces(tmp_path / "missing.jsonl"))
