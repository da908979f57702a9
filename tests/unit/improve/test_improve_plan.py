"""Self-improvement as a plan of commands: what a round does, what may change, and what is refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot import steps
from medcopilot.cli.main import app
from medcopilot.improve import ImproveConfig, Plan, improve, main
from medcopilot.rollout.settings import SampleConfig
from medcopilot.train.config import load_config
from medcopilot.train.settings import DpoConfig, SftConfig

FILES = sorted(steps.ROOT.glob("recipes/*/self-improve.yaml"))


@pytest.fixture
def body(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "start").mkdir()
    return {"run": str(tmp_path / "run"), "start": str(tmp_path / "start"), "rounds": 2,
            "sample": {"datasets": ["medcalcbench"], "tasks_per_dataset": 10, "samples": 4, "profile": "nano"},
            "sft": {"recipe": str(steps.ROOT / "recipes/nano/sft.yaml"),
                    "export": {"per_task": 1, "balance": ["category"], "cap": 9}},
            "dpo": {"recipe": str(steps.ROOT / "recipes/nano/dpo.yaml")},
            "evaluate": {"datasets": ["medcalcbench"], "slices": ["seen"]}}


def names(body: dict[str, Any]) -> list[str]:
    return [step.name for step in Plan(ImproveConfig(**body)).steps()]


def samplings(body: dict[str, Any]) -> dict[str, SampleConfig]:
    return {step.name: SampleConfig(**yaml.safe_load(step.text)) for step in Plan(ImproveConfig(**body)).steps() if step.file}


def trainings(config: ImproveConfig) -> dict[str, SftConfig | DpoConfig]:
    """What the recipes would run under the plan's overrides."""
    found = {}
    for step in Plan(config).steps():
        if step.name.endswith("train"):
            file, *overrides = step.words[step.words.index("--config") + 1 :]
            found[step.name] = load_config(SftConfig if step.name.startswith("sft") else DpoConfig, file, overrides)
    return found


def test_each_round_samples_learns_samples_and_prefers(body: dict[str, Any], tmp_path: Path) -> None:
    assert names(body) == ["eval-start", *(name for n in (1, 2) for name in (
        f"sft-{n}-sample", f"sft-{n}-export", f"sft-{n}-train", f"dpo-{n}-sample", f"dpo-{n}-export", f"dpo-{n}-train", f"eval-{n}",
        f"{n}-compare"))]
    played = samplings(body)
    checkpoints = tmp_path / "run" / "checkpoints"
    assert [played[name].policy for name in ("eval-start", "sft-1-sample", "dpo-1-sample", "eval-1", "sft-2-sample")] == [
        str(tmp_path / "start"), str(tmp_path / "start"), *(str(checkpoints / name) for name in ("sft-1", "dpo-1", "dpo-1"))]
    assert {played[name].split for name in played if name.endswith("sample")} == {"train"}
    assert played["eval-1"].split == "test"


def test_trainings_are_recipes_that_load(body: dict[str, Any], tmp_path: Path) -> None:
    body["sft"]["changes"] = {"optimizer.lr": 0.5, "max_seconds": None}
    loaded = trainings(ImproveConfig(**body))
    assert loaded["sft-1-train"].model.checkpoint == str(tmp_path / "start")
    assert loaded["sft-2-train"].model.checkpoint == str(tmp_path / "run/checkpoints/dpo-1")
    assert loaded["dpo-2-train"].model.checkpoint == str(tmp_path / "run/checkpoints/sft-2")
    assert (loaded["sft-1-train"].optimizer.lr, loaded["sft-1-train"].max_seconds) == (0.5, None)
    assert loaded["sft-1-train"].seed != loaded["sft-2-train"].seed
    assert loaded["dpo-1-train"].data == tmp_path / "run/data/dpo-1.jsonl"


def test_rounds_without_sft_and_from_the_start(body: dict[str, Any], tmp_path: Path) -> None:
    body["sft"] |= {"rounds": 1, "restart": True}
    assert [name for name in names(body) if name.endswith("train")] == ["sft-1-train", "dpo-1-train", "dpo-2-train"]
    body["sft"] |= {"rounds": None}
    (again,) = [step.words for step in Plan(ImproveConfig(**body)).steps() if step.name == "sft-2-train"]
    assert f"model.checkpoint={tmp_path / 'start'}" in again


def test_fresh_tasks_come_after_those_of_the_sampling_before(body: dict[str, Any]) -> None:
    body |= {"fresh_tasks": True}
    body["sample"]["skip_tasks"] = 100
    body["dpo"]["sample"] = {"tasks_per_dataset": 5}
    assert [played.skip_tasks for name, played in samplings(body).items() if name.endswith("sample")] == [100, 110, 115, 125]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.parent.name)
def test_the_recipes_plan_commands_that_exist(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
                                              ) -> None:
    monkeypatch.chdir(steps.ROOT)
    assert main("", [str(file), "--dry-run", "rounds=3"]) == 0
    told = capsys.readouterr().out
    assert "rounds: 3" in told
    exports = [shlex.split(line) for line in told.splitlines() if line.startswith("medcopilot export")]
    assert len(exports) >= 4
    known = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "300"}).output
    for words in exports:
        assert all(word in known for word in words if word.startswith("--"))
    assert len(trainings(load_config(ImproveConfig, file))) >= 3


def test_finished_steps_are_not_done_again_and_rounds_can_be_added(body: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
                                                                  tmp_path: Path) -> None:
    done: list[list[str]] = []
    failing = "dpo-1-sample"

    def call(words: list[str], threads: int) -> None:
        if any(failing in word for word in words if failing):
            raise UserError("stopped")
        done.append(words)

    monkeypatch.setattr(steps, "call", call)
    body["rounds"] = 1
    with pytest.raises(UserError, match="stopped"):
        improve(ImproveConfig(**body))
    assert len(done) == 4
    failing = ""
    assert improve(ImproveConfig(**body)) == tmp_path / "run/checkpoints/dpo-1"
    assert len(done) == 9
    improve(ImproveConfig(**{**body, "rounds": 2, "threads": 2}))
    assert len(done) == 17
    with pytest.raises(UserError, match="other settings"):
        improve(ImproveConfig(**{**body, "seed": 1}))


@pytest.mark.parametrize(("change", "message"), [
    ({"sample": {"split": "test"}}, "rows of the test split train nobody"),
    ({"sample": {"policy": "expert"}}, "policy of a sampling is set by the round"),
    ({"sample": {"samples": 0}}, "sample.samples"),
    ({"evaluate": {"tasks": 3}}, "sample.tasks"),
    ({"start": "nowhere"}, "no checkpoint to start from"),
])
def test_what_cannot_be_is_one_sentence(body: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        improve(ImproveConfig(**{**body, **change}))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("change", "message"), [
    ({"rounds": 0}, "key 'rounds'"),
    ({"policy": "vllm:start"}, "write {checkpoint}"),
    ({"fresh_tasks": True, "sample": {}}, "fresh_tasks needs sample.tasks_per_dataset"),
    ({"dpo": {"recipe": "r", "export": {"best_worst": True}}}, "set both, or neither"),
    ({"sft": {"recipe": "r", "export": {"per_taks": 1}}}, "did you mean 'per_task'"),
    ({"sampel": {}}, "did you mean 'sample'"),
])
def test_a_wrong_file_is_refused_with_two(body: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "improve.yaml"
    file.write_text(json.dumps({**body, **change}))
    assert main("", [str(file), "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
