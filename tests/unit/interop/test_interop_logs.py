"""Our traces as Inspect logs: read back by Inspect itself, number for number."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed (`make check` installs it on its own, .venv-inspect)")

from inspect_ai.log import list_eval_logs, read_eval_log
from typer.testing import CliRunner

from env.errors import AgreementError, UserError
from medcopilot.cli.main import app
from medcopilot.interop.logs import export_run
from medcopilot.runs import RunFolder
from medcopilot.trace import GradeRecord, Trace, Turn

OPENING = [{"role": "system", "content": "You write code."}, {"role": "user", "content": "How many stays has patient 7?"}]
QUERY = '{"action":"code_execution","params":{"code":"select 1","language":"sql"}}'
ANSWER = '{"action":"submit","params":{"answer":2}}'


def a_trace(task: int, success: bool | None = True, sample: int = 0, **fields) -> Trace:
    """Two turns: a query, then a submission. `success` None: our machinery failed."""
    score, label = (None, "infrastructure") if success is None else (float(success), "correct" if success else "wrong")
    grade = GradeRecord(score=score, label=label, detail="2 as it should be" if success else "")
    said = [{"role": "assistant", "content": QUERY}, {"role": "user", "content": "1"}, {"role": "assistant", "content": ANSWER}]
    values = {
        "id": f"{task:08x}{sample:08x}", "task_id": f"task-{task}", "dataset": "mimic_iii", "category": "labs", "template": "t",
        "split": "test", "slice": "seen", "cluster": f"t/{task % 3}", "licence": "synthetic", "policy": "nano", "sample": sample,
        "messages": OPENING + said, "stop": "infrastructure" if success is None else "submit", "temperature": 0.6,
        "turns": [Turn(reply=QUERY, action="code_execution", params={"code": "select 1", "language": "sql"}, observation="1",
                       execution={"status": "ok", "exit_code": 0}, generate_seconds=0.5, env_seconds=0.25, sampled_tokens=7),
                  Turn(reply=ANSWER, action="submit", params={"answer": 2}, observation="Submitted.", generate_seconds=0.5,
                       sampled_tokens=5)],
        "submission": None if success is None else {"kind": "answer", "answer": 2}, "grades": {"strict": grade, "paper": grade},
        "seconds": 1.5, "started": 1_700_000_000.0 + task, "sandbox": "zygote", "prompt_tokens": 100, "completion_tokens": 12,
        "error": "BoxDied: the box vanished" if success is None else ""}
    return Trace(**{**values, **fields})


@pytest.fixture
def write_run(tmp_path):
    def write(*traces: Trace, name: str = "run"):
        config = {"policy": "checkpoints/sft", "split": "test", "temperature": 0.6, "top_p": 1.0, "seed": 3, "samples": 2}
        run = RunFolder.create(tmp_path / name, config)
        with run.writer() as writer:
            for trace in traces:
                writer.write(trace)
        return run.path

    return write


def metrics(log, scorer="strict"):
    return {name: metric.value for score in log.results.scores if score.name == scorer for name, metric in score.metrics.items()}


def test_the_log_says_what_the_traces_say(write_run, tmp_path):
    (written,) = export_run(write_run(a_trace(1), a_trace(2, False)), tmp_path / "logs")
    log = read_eval_log(str(written.path), resolve_attachments=True)
    assert (log.status, log.eval.task, log.eval.model) == ("success", "medcopilot/mimic_iii", "nano")
    assert log.eval.model_generate_config.temperature == 0.6
    assert log.eval.metadata["config"]["policy"] == "checkpoints/sft"
    sample = log.samples[0]
    assert (sample.id, sample.epoch, sample.uuid) == ("task-1", 1, "0000000100000000")
    assert [(message.role, message.text) for message in sample.messages] == [
        ("system", "You write code."), ("user", "How many stays has patient 7?"), ("assistant", QUERY), ("user", "1"),
        ("assistant", ANSWER)]
    assert len(sample.input) == 2
    assert sample.output.completion == ANSWER
    assert sample.scores["strict"].value == 1.0
    assert sample.scores["strict"].explanation == "correct: 2 as it should be"
    assert sample.scores["paper"].answer == "2"
    usage = sample.model_usage["nano"]
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (100, 12, 112)
    assert log.stats.model_usage["nano"].output_tokens == 24
    assert sample.total_time == 1.5
    assert sample.started_at.startswith("2023-11-14T22:13:21")
    assert sample.metadata["cluster"] == "t/1"
    assert log.samples[1].metadata["error_class"] == "wrong_rows"


@pytest.mark.parametrize(("temperatures", "said"), [((0.0, 0.0), 0.0), ((0.0, 0.6), None), ((0.6, 0.6), 0.6)])
def test_a_log_names_the_temperature_at_which_its_rollouts_were_sampled(write_run, tmp_path, temperatures, said):
    """The setting alone is that of all rollouts but the first, so that a greedy run would pass for one at 0.6."""
    run = write_run(*(a_trace(1, sample=number, temperature=value) for number, value in enumerate(temperatures)))
    (written,) = export_run(run, tmp_path / "logs")
    log = read_eval_log(str(written.path))
    assert log.eval.model_generate_config.temperature == log.plan.config.temperature == said


def test_each_turn_is_a_model_call_and_an_action(write_run, tmp_path):
    (written,) = export_run(write_run(a_trace(1)), tmp_path / "logs", "json")
    events = read_eval_log(str(written.path), resolve_attachments="full").samples[0].events
    assert [event.event for event in events] == ["model", "tool", "model", "tool", "score", "score"]
    call, action, last, *_ = events
    assert [message.role for message in call.input] == ["system", "user"]
    assert [message.role for message in last.input] == ["system", "user", "assistant", "user"]
    assert (action.function, action.arguments, action.result) == ("code_execution", {"code": "select 1", "language": "sql"}, "1")
    assert "```sql\nselect 1\n```" in action.view.content
    assert action.metadata["execution"]["status"] == "ok"
    assert (action.completed - call.timestamp).total_seconds() == pytest.approx(0.75)


def test_metrics_are_over_graded_samples(write_run, tmp_path):
    traces = [a_trace(1), a_trace(2, False), a_trace(3), a_trace(4, False), a_trace(5, None)]
    (written,) = export_run(write_run(*traces), tmp_path / "logs")
    assert (written.samples, written.errors, written.strict, written.paper) == (5, 1, 0.5, 0.5)
    log = read_eval_log(str(written.path))
    assert metrics(log)["accuracy"] == 0.5
    # clusters t/0 (+), t/1 (+, -), t/2 (-): sqrt((0.5^2 + 0 + 0.5^2) * 3 / 2) / 4
    assert metrics(log)["stderr"] == pytest.approx(math.sqrt(0.5 * 1.5) / 4)
    (failed,) = [sample for sample in log.samples if sample.error]
    assert failed.id == "task-5"
    assert failed.error.message == "BoxDied: the box vanished"
    assert not failed.scores
    assert log.results.completed_samples == 4


def test_rollouts_of_a_task_are_epochs(write_run, tmp_path):
    (written,) = export_run(write_run(a_trace(1), a_trace(2, False), a_trace(1, False, 1), a_trace(2, True, 1)), tmp_path / "logs")
    log = read_eval_log(str(written.path))
    assert {(sample.id, sample.epoch) for sample in log.samples} == {("task-1", 1), ("task-1", 2), ("task-2", 1), ("task-2", 2)}
    assert log.eval.config.epochs == 2
    assert log.eval.dataset.samples == 2
    assert metrics(log)["accuracy"] == 0.5


def test_how_an_episode_stopped_is_inspects_limit(write_run, tmp_path):
    turns = a_trace(1, False, stop="turns", submission=None, turn_limit=15)
    refused = Turn(reply="hm", problem="format", observation="No JSON object found.")
    unread = a_trace(2, False, stop="context", submission=None, turns=[refused, refused])
    (written,) = export_run(write_run(turns, unread), tmp_path / "logs")
    first, second = read_eval_log(str(written.path), resolve_attachments="full").samples
    assert (first.limit.type, first.limit.limit) == ("turn", 15)
    assert second.limit.type == "context"
    action = next(event for event in second.events if event.event == "tool")
    assert (action.function, action.error.type, action.error.message) == ("unreadable", "parsing", "No JSON object found.")


def test_a_policy_that_counts_no_tokens_has_no_usage(write_run, tmp_path):
    trace = a_trace(1, prompt_tokens=None, completion_tokens=None)
    for turn in trace.turns:
        turn.sampled_tokens = None
    (written,) = export_run(write_run(trace), tmp_path / "logs")
    assert read_eval_log(str(written.path)).samples[0].model_usage == {}


def test_one_log_for_each_dataset_and_the_same_again(write_run, tmp_path):
    folder, out = write_run(a_trace(1), a_trace(2, dataset="treqs")), tmp_path / "logs"
    first = export_run(folder, out)
    assert [log.path for log in export_run(folder, out)] == [log.path for log in first]
    listed = list_eval_logs(str(out))
    assert sorted(info.task for info in listed) == ["medcopilot-mimic-iii", "medcopilot-treqs"]
    assert len(list(out.iterdir())) == 2
    (only,) = export_run(folder, tmp_path / "one", datasets=("treqs",))
    assert "treqs" in only.path.name
    samples = [read_eval_log(str(log.path)).samples[0].model_dump_json() for log in (first[1], only)]
    assert samples[0] == samples[1]


def test_rows_under_an_agreement_stay(write_run, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "agreements.yaml"))
    folder, out = write_run(a_trace(1, licence="PhysioNet-credentialed")), tmp_path / "logs"
    with pytest.raises(AgreementError, match=r"mimic_iii .*log_export"):
        export_run(folder, out)
    assert not out.exists()
    (tmp_path / "agreements.yaml").write_text("- {dataset: mimic_iii, exit: log_export, allowed: true, who: J, date: 2026-11-03}\n")
    assert export_run(folder, out)[0].samples == 1


def test_what_cannot_be_exported_is_said(write_run, tmp_path):
    with pytest.raises(UserError, match="holds no trace of treqs: it has mimic_iii"):
        export_run(write_run(a_trace(1)), tmp_path / "logs", datasets=("treqs",))
    with pytest.raises(UserError, match="holds no trace: let"):
        export_run(write_run(name="empty"), tmp_path / "logs")
    with pytest.raises(UserError, match="not a run folder"):
        export_run(tmp_path / "nowhere", tmp_path / "logs")


def test_the_command_writes_and_inspects_own_command_reads(write_run, tmp_path):
    folder, out = write_run(a_trace(1), a_trace(2, None)), tmp_path / "logs"
    done = CliRunner().invoke(app, ["inspect", str(folder), "--out", str(out), "--json", str(tmp_path / "written.json")])
    assert done.exit_code == 0, done.output
    assert "2 samples, 1 with errors, strict 100.0%" in done.output
    (written,) = json.loads((tmp_path / "written.json").read_text())
    tool = [sys.executable, "-m", "inspect_ai", "log"]
    quiet = {**os.environ, "INSPECT_DISPLAY": "none"}
    listed = subprocess.run([*tool, "list", "--json", "--log-dir", str(out)], capture_output=True, text=True, check=True, env=quiet)
    (entry,) = json.loads(listed.stdout)
    assert entry["name"].endswith(os.path.basename(written["path"]))
    dumped = subprocess.run([*tool, "dump", written["path"]], capture_output=True, text=True, check=True, env=quiet)
    assert len(json.loads(dumped.stdout)["samples"]) == 2


def test_a_format_that_there_is_not_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--out", str(tmp_path), "--format", "xml"])
    assert isinstance(result.exception, UserError)
