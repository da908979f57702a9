"""The index: it reads what was added, believes the shards and nothing else, and counts each id once."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.errors import UserError
from medcopilot.runs import RunFolder
from medcopilot.trace import GradeRecord, Trace, Turn, write_line


def a_trace(name: str, **changes) -> Trace:
    grade = GradeRecord(score=1.0, label="correct")
    fields = {"id": name, "task_id": f"task-{name}", "dataset": "d", "category": "c", "template": "t", "split": "test",
              "slice": "seen", "cluster": "t/0", "licence": "synthetic", "policy": "p", "messages": [],
              "turns": [Turn(reply="x", sampled_tokens=7)], "stop": "submit", "grades": {"strict": grade, "paper": grade}}
    return Trace(**{**fields, **changes})


def test_rows_say_where_a_trace_lies(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    for worker in ("a", "b"):
        with run.writer(worker) as writer:
            for number in range(3):
                writer.write(a_trace(f"{worker}{number}", turns=[Turn(reply="é" * number, sampled_tokens=number)] * 2))
    run.index.refresh()
    rows = list(run.index.rows())
    assert [row["id"] for row in rows] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    for row in rows:
        data = (run.traces_dir / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["size"]]
        trace = Trace.model_validate_json(data)
        assert (trace.id, len(trace.turns)) == (row["id"], row["turns"])
        assert row["tokens"] == sum(turn.sampled_tokens for turn in trace.turns)
    assert [row["id"] for row in run.index.rows("task_id = ?", ("task-b1",))] == ["b1"]


def test_only_what_was_added_is_read(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    shard = run.traces_dir / "main.jsonl"
    shard.write_text(write_line(a_trace("t1")))
    assert run.done() == {"t1"}
    # were the first line read again, this would be an error
    line = shard.read_bytes()
    shard.write_bytes(b"x" * (len(line) - 1) + b"\n" + write_line(a_trace("t2")).encode())
    assert run.done() == {"t1", "t2"}


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), min_size=1, max_size=5))
def test_a_shard_that_grows_by_bytes_ends_as_the_whole_one(tmp_path_factory, cuts):
    """A reader that looks while the writer is in mid-line, any number of times."""
    run = RunFolder.create(tmp_path_factory.mktemp("run") / "r", {})
    shard = run.traces_dir / "main.jsonl"
    data = "".join(write_line(a_trace(f"t{number}")) for number in range(5)).encode()
    for cut in sorted(cuts):
        shard.write_bytes(data[:cut])
        whole = {f"t{number}" for number, line in enumerate(data[:cut].splitlines()) if line in data.splitlines()}
        assert run.done() == whole
    shard.write_bytes(data)
    assert run.done() == {f"t{number}" for number in range(5)}


def test_a_masked_trace_gives_way_to_one_that_counts_and_never_the_other_way_round(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    owed = {"strict": GradeRecord(score=None, label="infrastructure"), "paper": GradeRecord(score=None, label="infrastructure")}
    with run.writer("a") as writer:
        writer.write(a_trace("t1", stop="infrastructure", grades=owed))
    assert run.done() == set()
    with run.writer("b") as writer:
        writer.write(a_trace("t1"))
    assert run.done() == {"t1"}
    with run.writer("c") as writer:
        writer.write(a_trace("t1", stop="infrastructure", grades=owed))
    assert run.done() == {"t1"}
    assert [(row["stop"], row["shard"]) for row in run.index.rows()] == [("submit", "b.jsonl")]


@pytest.mark.parametrize("damage", ["missing", "rubbish", "old", "ahead"])
def test_an_index_that_does_not_fit_is_made_anew(tmp_path, damage):
    run = RunFolder.create(tmp_path / "r", {})
    with run.writer() as writer:
        for number in range(3):
            writer.write(a_trace(f"t{number}"))
    run.done()
    index, shard = run.path / "index.sqlite", run.traces_dir / "main.jsonl"
    expected = {"t0", "t1", "t2"}
    if damage == "missing":
        index.unlink()
    elif damage == "rubbish":
        index.write_bytes(b"not a database")
    elif damage == "old":
        with sqlite3.connect(index) as database:
            database.execute("pragma user_version = 1")
        database.close()
    else:
        shard.write_bytes(b"".join(shard.read_bytes().splitlines(keepends=True)[:1]))
        expected = {"t0"}
    assert run.done() == expected


def test_a_line_that_is_no_trace_is_named(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    (run.traces_dir / "main.jsonl").write_text(write_line(a_trace("t1")) + "{}\n")
    with pytest.raises(UserError, match=r"main\.jsonl byte \d+: not a trace: delete that line"):
        run.done()


def test_a_run_has_one_sampler_at_a_time(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    with run.alone(), pytest.raises(UserError, match="being written by another process"), run.alone():
        pass
    with run.writer("worker-x-0"), pytest.raises(UserError, match=r"worker-x-0\.jsonl is being"), run.alone(patience=0):
        pass
    with run.writer("worker-x-0"), run.claim("worker-x") as second:
        second.write(a_trace("t1"))
    assert (run.traces_dir / "worker-x-1.jsonl").stat().st_size
    with run.alone(patience=0):
        assert run.done() == {"t1"}


def test_a_trace_is_with_the_kernel_when_it_is_written(tmp_path):
    run = RunFolder.create(tmp_path / "r", {})
    with run.writer() as writer:
        for number in range(3):
            writer.write(a_trace(f"t{number}"))
            assert run.done() == {f"t{earlier}" for earlier in range(number + 1)}  # of another reader, before any close or sync


def test_an_estimate_reads_a_spread_sample_of_lines(tmp_path, monkeypatch):
    from medcopilot.rollout import estimate

    monkeypatch.setattr(estimate, "_SAMPLE", 10)
    run = RunFolder.create(tmp_path / "r", {})
    for worker in range(2):
        with run.writer(f"w{worker}") as writer:
            for number in range(25):
                writer.write(a_trace(f"{worker}/{number}", prompt_tokens=100 * worker + number if number % 5 else None))
    run.index.refresh()
    rows = list(run.index.rows())
    assert estimate._prompt_tokens(run, rows) == [None] * 10
    assert estimate._prompt_tokens(run, rows[1:4]) == [1, 2, 3]
    assert estimate._prompt_tokens(run, rows[1:41]) == [1, None, 9, 13, 17, 21, None, 104, 108, 112]
