"""`medcopilot eval` and `medcopilot report` on finished runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from trace_factory import make_run
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot.cli import evaluate, report
from medcopilot.runs import RunFolder
from medcopilot.trace import write_line


def write_run(path: Path, traces) -> Path:
    run = RunFolder.create(path, {"policy": "nano", "seed": 3})
    half = len(traces) // 2
    for worker, part in (("a", traces[:half]), ("b", traces[half:])):
        with run.writer(worker) as writer:
            for trace in part:
                writer.write(trace)
    run.write_summary({"gym": {"sandbox": {"tier": "bwrap"}}})
    return path


@pytest.fixture
def two_runs(tmp_path):
    return [write_run(tmp_path / "sft", make_run(0.4)), write_run(tmp_path / "grpo", make_run(0.7))]


def invoke(command, *args):
    app = typer.Typer()
    app.command()(command.run)
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_summary_in_the_terminal_is_plain_text_and_complete(two_runs):
    text = invoke(evaluate, *two_runs).stdout
    assert "\x1b" not in text
    assert "Errors (failed episodes" in text
    assert "wrong_rows" in text
    for word in ("sft", "grpo", "grpo − sft", "mimic_iii", "unseen", "strict", "paper", "Abstention", "generation", "McNemar p"):
        assert word in text
    assert "…" not in text


def test_json_holds_every_number_and_each_run_keeps_its_own(two_runs, tmp_path):
    invoke(evaluate, *two_runs, "--json", tmp_path / "out.json")
    body = json.loads((tmp_path / "out.json").read_text())
    assert set(body["runs"]) == {"sft", "grpo"}
    assert body["comparisons"]["grpo − sft"]["tasks"] == 60
    acts, overall = body["runs"]["sft"]["behaviour"], body["runs"]["sft"]["overall"]["strict"]
    assert sum(acts["errors"].values()) == sum(acts["paper_errors"].values()) == overall["n"] - overall["successes"]
    own = json.loads((two_runs[0] / "summary.json").read_text())
    assert own["gym"]["sandbox"]["tier"] == "bwrap"
    assert own["evaluation"]["sft"] == body["runs"]["sft"]


def test_a_run_that_mixes_temperatures_is_split(tmp_path):
    folder = write_run(tmp_path / "mixed", [*make_run(0.4), *make_run(0.4, temperature=0.6)])
    invoke(evaluate, folder, "--json", tmp_path / "out.json")
    body = json.loads((tmp_path / "out.json").read_text())
    assert set(body["runs"]) == {"mixed, T = 0", "mixed, T = 0.6"}
    assert all(item["overall"]["traces"] == 60 for item in body["runs"].values())


def test_a_torn_last_line_is_told_and_left_out(two_runs):
    with (two_runs[0] / "traces" / "b.jsonl").open("a") as handle:
        handle.write(write_line(make_run(0.5)[0])[:200])
    result = invoke(evaluate, two_runs[0])
    assert "torn" in result.stderr
    assert "60" in result.stdout


@pytest.mark.parametrize(("args", "words"), [
    ([], "name run folders"),
    (["no-such-run"], "not a run folder"),
    (["--dataset", "mimic_iii"], "give --checkpoint too"),
    (["--checkpoint", "expert", "--samples", "4"], "give a temperature"),
])
def test_bad_input_is_one_sentence_with_the_cure(args, words):
    with pytest.raises(UserError, match=words):
        invoke(evaluate, *args)


def test_a_run_without_traces_is_refused(tmp_path):
    RunFolder.create(tmp_path / "empty", {})
    with pytest.raises(UserError, match="no traces"):
        invoke(evaluate, tmp_path / "empty")


def test_a_checkpoint_is_sampled_then_summarised(monkeypatch, tmp_path):
    import medcopilot.rollout.sample as sample

    asked = {}

    def sampled(config, progress, *, root):
        asked.update(config.model_dump(), root=root)
        return write_run(config.out, make_run(0.5))

    monkeypatch.setattr(sample, "sample_run", sampled)
    monkeypatch.chdir(tmp_path)
    text = invoke(evaluate, "--checkpoint", "expert", "--dataset", "mimic_iii", "--n", "30", "--temperature", "1").stdout
    assert (asked["policy"], asked["datasets"], asked["tasks_per_dataset"]) == ("expert", ("mimic_iii",), 30)
    assert (asked["temperature"], asked["greedy_first"], asked["split"]) == (1.0, False, "test")
    assert str(asked["out"]).startswith("runs/eval-expert-")
    assert "mimic_iii" in text
    plain = asked["out"]
    assert asked["loop_guard"] is False
    invoke(evaluate, "--checkpoint", "expert", "--dataset", "mimic_iii", "--n", "30", "--temperature", "1", "--loop-guard")
    assert asked["loop_guard"] is True
    assert asked["out"] != plain  # other episodes, another run


def test_report_command_names_stages_and_merges_folders_of_one_name(two_runs, tmp_path):
    hot = write_run(tmp_path / "hot", make_run(0.6, temperature=1.0))
    page = tmp_path / "page.html"
    invoke(report, f"SFT={two_runs[0]}", f"RL={two_runs[1]}", f"RL={hot}", "--out", page, "--chance", "mimic_iii=0.04",
           "--json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {"report": str(page), "stages": ["SFT", "RL"], "left_out": []}
    text = page.read_text()
    assert "RL − SFT" in text
    assert "4.0\u00a0%" in text


def test_report_of_one_run_lies_inside_it(two_runs):
    invoke(report, two_runs[0], "--trajectories", "2")
    assert (two_runs[0] / "report.html").exists()


@pytest.mark.parametrize(("option", "value", "words"), [
    ("--chance", "mimic_iii=5", "fraction"), ("--metrics", "SFT=no-such.jsonl", "cannot be read")])
def test_bad_report_options_are_one_sentence(two_runs, tmp_path, option, value, words):
    with pytest.raises(UserError, match=words):
        invoke(report, *two_runs, option, value, "--out", tmp_path / "x.html")
