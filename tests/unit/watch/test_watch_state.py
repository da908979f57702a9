"""Reading a run from its files: under way, finished, broken, torn, replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from env.errors import UserError
from medcopilot.jsonl import Tail, append_row, forget_after, read_rows
from medcopilot.train.folders import holder
from medcopilot.watch import state as module
from medcopilot.watch.state import RunReader


def stage_of(run, name="grpo", after=0.0):
    return next(stage for stage in RunReader(run.folder).read(run.now + after).stages if stage.name == name)


def test_a_run_under_way(run) -> None:
    found = RunReader(run.folder).read(run.now)
    assert [(stage.name, stage.standing, stage.progress) for stage in found.stages] == [("sft", "finished", 1.0),
                                                                                         ("grpo", "running", 0.25)]
    grpo = found.focus
    assert grpo is not None
    assert (grpo.name, grpo.step, grpo.seconds, grpo.age) == ("grpo", 10, 100.0, 5.0)
    assert grpo.eta == 100.0 * 3 - 5.0
    assert grpo.series("success")[-1] == pytest.approx(0.35)
    assert grpo.mean("time/wait") == 6.0
    assert len(grpo.alarms) == 1
    assert grpo.sample is not None
    assert grpo.sample.step == 10


def test_a_quiet_stage_that_nobody_holds_has_stopped(run) -> None:
    assert stage_of(run, after=100).standing == "running"
    stopped = stage_of(run, after=1000)
    assert (stopped.standing, stopped.eta, stopped.resumable) == ("stopped", None, False)
    run.work("grpo", resumable=True)
    assert stage_of(run, after=1000).resumable


def test_a_stage_with_slow_steps_is_not_given_up_between_two_of_them(run) -> None:
    run.metrics("grpo", [{**row, "seconds": 300.0 * row["step"]} for row in run.rows(5)], age=5)
    assert stage_of(run, after=1000).standing == "running"


def test_a_held_stage_runs_however_quiet_it_is(run) -> None:
    code = ("import sys; from pathlib import Path; from medcopilot.train.folders import hold\n"
            "hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()")
    work = run.folder / "checkpoints" / "grpo.work"
    with subprocess.Popen([sys.executable, "-c", code, str(work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          cwd=Path(__file__).resolve().parents[3]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder(work) == process.pid
        assert stage_of(run, after=100_000).standing == "running"
        process.communicate("")
    assert holder(work) is None
    assert stage_of(run, after=100_000).standing == "stopped"


def test_a_stage_without_a_step_yet_waits(run) -> None:
    run.work("ppo")
    stage = next(stage for stage in RunReader(run.folder).read().stages if stage.name == "ppo")
    assert (stage.standing, stage.step, stage.progress) == ("waiting", 0, None)


def test_rows_are_read_once_and_a_replaced_file_from_its_start(run) -> None:
    reader, path = RunReader(run.folder, "grpo"), run.folder / "metrics" / "grpo.jsonl"

    def steps():
        return [row["step"] for row in reader.read(run.now).stages[0].rows]

    assert steps() == list(range(1, 11))
    with path.open("a") as handle:
        handle.write('ds": 110, "progress": 0.275}\n{"step": 12')
    assert steps() == list(range(1, 12))
    forget_after(path, 4)  # as a resumed stage does
    assert steps() == [1, 2, 3, 4]


def test_long_runs_are_thinned_out(run, monkeypatch) -> None:
    monkeypatch.setattr(module, "KEPT_ROWS", 64)
    run.metrics("grpo", run.rows(1000, of=1000))
    rows = stage_of(run).rows
    assert len(rows) <= 64
    assert rows[-1]["step"] == 1000
    assert rows[0]["step"] == 1


def test_what_is_no_run_is_one_sentence(run, tmp_path) -> None:
    with pytest.raises(UserError, match="is not a folder"):
        RunReader(tmp_path / "nowhere").read()
    with pytest.raises(UserError, match="no stage was ever trained"):
        RunReader(tmp_path).read()
    with pytest.raises(UserError, match="no stage 'dpo': choose from grpo, sft"):
        RunReader(run.folder, "dpo").read()


def test_a_summary_holds_numbers_and_no_text_of_trajectories(run) -> None:
    summary = stage_of(run).summary()
    assert summary["metrics"]["success"] == pytest.approx(0.35)
    assert summary["alarms"] == 1
    assert "How old" not in json.dumps(summary)


def test_a_tail_leaves_a_torn_line_for_later(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    append_row(path, {"step": 1})
    with path.open("a") as handle:
        handle.write('{"step"')
    assert tail.read() == [{"step": 1}]
    assert read_rows(path) == [{"step": 1}]
    with path.open("a") as handle:
        handle.write(': 2}\nrubbish\n[1]\n')
    assert tail.read() == [{"step": 2}]
    assert tail.read() == []
    assert read_rows(path) == [{"step": 1}, {"step": 2}]
