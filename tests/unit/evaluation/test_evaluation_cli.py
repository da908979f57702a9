"""`medcopilot eval` and `medcopilot report` on finished runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from trace_factory import make_run
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot.cli import compare, evaluate, report
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


def test_a_run_that_cannot_be_written_is_read_all_the_same(two_runs, tmp_path):
    (two_runs[0] / "summary.json").unlink()
    (two_runs[0] / "summary.json").mkdir()
    text = invoke(evaluate, *two_runs, "--json", tmp_path / "out.json")
    assert "grpo − sft" in text.stdout
    assert set(json.loads((tmp_path / "out.json").read_text())["runs"]) == {"sft", "grpo"}
    assert "these numbers were not kept in its summary.json" in " ".join(text.output.split())


@pytest.mark.parametrize("wrong", [("--seed", "-1"), ("--at", "nan", "--at", "2")])
def test_numbers_that_are_none_are_refused(two_runs, wrong):
    with pytest.raises((UserError, AssertionError), match=r"nan is no place on the training axis|Invalid value for '--seed'"):
        invoke(evaluate, *two_runs, *wrong)


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


def test_several_rollouts_give_curves_in_terminal_json_pictures_and_summary(tmp_path):
    folder = write_run(tmp_path / "wide", [*make_run(0.4), *make_run(0.3, temperature=0.6, samples=3)])
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(json.dumps({"id": trace.id, "score": float(trace.success)}) + "\n"
                              for trace in RunFolder.open(folder).traces()))
    text = invoke(evaluate, folder, "--verifier", scores, "--json", tmp_path / "out.json", "--pictures", tmp_path / "img").stdout
    body = json.loads((tmp_path / "out.json").read_text())
    first, alone = body["scaling"]["wide"]["overall"]
    assert (first["scheme"], [point["k"] for point in first["points"]]) == ("greedy first", [1, 2, 3, 4])
    assert (alone["scheme"], [point["k"] for point in alone["points"]]) == ("exchangeable", [1, 2, 3])
    assert first["points"][3]["regret"]["value"] == pytest.approx(0)
    for word in ("Pass@K", "Best@K", "majority@K", "regret", "greedy first", "Suites", "structured"):
        assert word in text
    assert "…" not in text
    assert sorted(path.name for path in (tmp_path / "img").iterdir()) == [
        "wide-exchangeable-T0.6.png", "wide-greedy-first-T0.6.png"]
    own = json.loads((folder / "summary.json").read_text())
    assert own["scaling"] == body["scaling"]["wide"]
    assert set(own["suites"]) == {"wide, T = 0", "wide, T = 0.6"}


def test_checkpoints_on_an_axis(two_runs, tmp_path):
    text = invoke(evaluate, *two_runs, "--at", "100", "--at", "200", "--pictures", tmp_path, "--json", tmp_path / "out.json").stdout
    assert "Over training" in text
    assert (tmp_path / "training.png").stat().st_size > 1000
    assert [item["at"] for item in json.loads((tmp_path / "out.json").read_text())["training"]] == [100.0, 200.0]
    with pytest.raises(UserError, match="--at once for every run"):
        invoke(evaluate, *two_runs, "--at", "100")


def test_both_protocols_of_a_policy_give_their_inflation(tmp_path):
    runs = [write_run(tmp_path / "submit", make_run(0.3)), write_run(tmp_path / "paper", make_run(0.6, protocol="paper"))]
    text = invoke(evaluate, *runs, "--json", tmp_path / "out.json").stdout
    (found,) = json.loads((tmp_path / "out.json").read_text())["inflation"].values()
    assert found["both"]["value"] >= found["by_protocol"]["value"] > 0
    assert "by protocol" in text


def test_two_runs_are_compared_part_by_part(two_runs, tmp_path):
    text = invoke(compare, *two_runs, "--resamples", "500", "--json", tmp_path / "out.json").stdout
    body = json.loads((tmp_path / "out.json").read_text())
    assert body["comparison"]["overall"]["tasks"] == 60
    assert set(body["comparison"]["datasets"]) == {"mimic_iii", "medcalcbench"}
    for word in ("grpo − sft", "unseen", "in distribution", "medcalcbench", "McNemar p", "by chance alone"):
        assert word in text


def test_runs_without_a_temperature_in_common_are_not_compared(two_runs, tmp_path):
    hot = write_run(tmp_path / "hot", make_run(0.6, temperature=1.0))
    with pytest.raises(UserError, match=r"share no rollouts .*sft: 0; hot: 1"):
        invoke(compare, two_runs[0], hot)
    with pytest.raises(UserError, match="are one run"):
        invoke(compare, two_runs[0], two_runs[0])


@pytest.mark.parametrize(("content", "words"), [(None, "no verifier and no file of scores"), ('{"id": 3}', "row 1: not"),
                                                ('{"id": "x", "score": 1}', "lack 60 of 60")])
def test_bad_scores_are_one_sentence(two_runs, tmp_path, content, words):
    file = tmp_path / "scores.jsonl"
    if content is not None:
        file.write_text(content + "\n")
    run = write_run(tmp_path / "wide", make_run(0.4, tasks=30, samples=2, temperature=0.6))
    with pytest.raises(UserError, match=words):
        invoke(evaluate, run, "--verifier", file)


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
