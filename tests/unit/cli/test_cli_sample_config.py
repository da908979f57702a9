"""`medcopilot sample --config`: a whole sampling run in one file."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot.cli import evaluate, sample
from medcopilot.rollout.settings import SampleConfig
from medcopilot.train.config import load_config


@pytest.mark.parametrize("path", sorted(Path("recipes").glob("*/sample.yaml")) + sorted(Path("recipes").glob("*/eval.yaml")))
def test_the_files_among_the_recipes_are_whole(path: Path, repository: Path) -> None:
    config = load_config(SampleConfig, repository / path)
    assert config.datasets
    assert str(config.out).startswith("runs/")


def test_a_file_and_options_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("out: runs/x\npolicy: expert\n")
    with pytest.raises(UserError, match="names policy and run folder itself"):
        sample.run(policy="expert", config_file=file)
    with pytest.raises(UserError, match="give a policy and --out"):
        sample.run(policy="expert")
    with pytest.raises(UserError, match=r"unknown key 'polcy': did you mean 'policy'"):
        sample.run(config_file=file, changes=["polcy=expert"])


def refused(command, *words: str) -> str:
    """What a command line is refused with."""
    app = typer.Typer()
    app.command()(command.run)
    found = CliRunner().invoke(app, list(words))
    assert isinstance(found.exception, UserError), found.output
    return str(found.exception)


@pytest.mark.parametrize("option", [
    ["--n", "2"], ["--dataset", "mimic_iii"], ["--max-seconds", "1"], ["--max-cost", "0.01"], ["--without", "debugging"],
    ["--temperature", "0.6"], ["--no-greedy-first"], ["--stateful"], ["--split", "test"], ["--patients", "1000"]])
def test_no_option_is_ignored_beside_a_file(tmp_path: Path, option: list[str]) -> None:
    """Not even one that says the default: the file may say something else."""
    file = tmp_path / "s.yaml"
    file.write_text("out: runs/x\npolicy: expert\n")
    said = refused(sample, "--config", str(file), "--estimate", *option)
    assert "would change nothing: with --config the file says it, and --set" in said
    assert option[0].replace("--no-", "--") in said


@pytest.mark.parametrize(("words", "reason"), [
    (["expert", "--set", "samples=2"], "--set changes keys of a file: give --config too"),
    (["expert", "--workers", "2"], "--workers would change nothing: --backend local is one process"),
    (["runs/x", "--detours", "0.5"], "only the scripted expert makes detours"),
    (["expert", "--cache", "x.sqlite"], "only replies of openai:MODEL@URL are kept"),
    (["expert", "--temperature", "0.6"], "add --samples 2 or --no-greedy-first"),
    (["expert", "--dataset", "medcalcbench", "--source", "medcalcbench=/x", "--test", "5", "--build-seed", "1"],
     "--test, --build-seed would change nothing: they are of synthetic twins")])
def test_an_option_that_would_change_nothing_is_refused(tmp_path: Path, words: list[str], reason: str) -> None:
    assert reason in refused(sample, *words, "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_an_option_that_says_what_happens_anyway_is_not(tmp_path: Path) -> None:
    words = ("runs/none", "--temperature", "0", "--workers", "1", "--detours", "0", "--out", str(tmp_path / "run"))
    assert "would change nothing" not in (said := refused(sample, *words)), said


@pytest.mark.parametrize("option", [
    ["--split", "train"], ["--samples", "8"], ["--temperature", "0.6"], ["--profile", "nano"], ["--protocol", "paper"],
    ["--concurrency", "4"], ["--train", "5"], ["--test", "5"], ["--patients", "50"], ["--build-seed", "1"], ["--out", "x"],
    ["--loop-guard"]])
def test_eval_of_runs_refuses_what_chooses_episodes(option: list[str]) -> None:
    assert f"eval: {option[0]} would change nothing" in refused(evaluate, "runs/a", *option)


@pytest.mark.parametrize("words", [["medcalc=/tmp"], ["eicu=/tmp"], ["medcalcbench"], ["medcalcbench="]])
@pytest.mark.parametrize("play", [lambda **given: sample.run(policy="expert", **given),
                                  lambda **given: evaluate.run(checkpoint="expert", **given)])
def test_a_source_of_no_dataset_is_refused_and_no_twin_is_played_in_its_stead(tmp_path: Path, play, words: list[str]) -> None:
    with pytest.raises(UserError, match=r"--source: .*(is not among the datasets|is not DATASET=PATH)"):
        play(out=tmp_path / "run", dataset=["medcalcbench"], source=words)
    assert not (tmp_path / "run").exists()


def test_a_misspelt_dataset_among_the_builds_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(f"out: {tmp_path / 'run'}\npolicy: expert\ndatasets: [medcalcbench]\nbuilds: {{medcalc: {{source: /tmp}}}}\n")
    with pytest.raises(UserError, match="builds: unknown dataset 'medcalc'"):
        sample.run(config_file=file)
    assert not (tmp_path / "run").exists()


def test_an_engine_that_only_one_process_can_have_is_not_given_to_a_crew(tmp_path: Path) -> None:
    said = refused(sample, f"vllm:{tmp_path}", "--backend", "joblib", "--workers", "2", "--out", str(tmp_path / "run"))
    assert "is one engine in one process: choose backend local, or start servers" in said
    assert not (tmp_path / "run").exists()
