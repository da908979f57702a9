"""Every recipe is parsed, dry-run and planned, and fits the hardware that its header names."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot.cli.main import app
from medcopilot.plan.assumptions import Assumptions
from medcopilot.plan.estimate import Hardware, hardware_of, plan
from medcopilot.plan.recipe import STAGES, class_of, read_recipe, word_of
from medcopilot.plan.search import suggestions
from medcopilot.plan.show import hours_text, tell
from medcopilot.train.recipe import run_recipe

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(path for path in ROOT.glob("recipes/*/*.yaml") if word_of(path) in STAGES)
SEVEN = ROOT / "recipes" / "qwen2.5-7b"


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_recipe_is_parsed_planned_and_dry_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_recipe(path)
    found = plan(recipe, hardware_of(recipe))
    assert found.problems == ()
    assert found.hours is None or 0 < found.hours < 500
    assert found.parts.total == pytest.approx(sum(found.parts))
    assert all(size >= 0 for size in found.parts)
    told = re.search(r"([\d.]+ to [\d.]+) hours \(`medcopilot plan`", path.read_text())
    assert told is None or told[1] == hours_text(found)
    assert told is not None or path.parent.name == "nano"
    if recipe.stage in ("sft", "dpo", "verifier", "grpo", "ppo"):
        def refuse(_: object) -> None:
            raise AssertionError("a dry run trains nothing")

        assert run_recipe(class_of(recipe.stage), refuse, "", [str(path), "--dry-run"]) == 0
        assert f"digest {recipe.config.digest()}" in capsys.readouterr().out


@pytest.mark.parametrize("path", [path for path in FILES if path.stem.endswith("-lora")], ids=name_of)
def test_adapters_fit_one_gpu_of_80_gb(path: Path) -> None:
    recipe = read_recipe(path)
    for gpu in ("a100-80", "h100"):
        assert plan(recipe, Hardware(gpu, 1, "single")).fits


def test_there_are_adapters_for_every_stage_and_another_family() -> None:
    names = {name_of(path) for path in FILES}
    assert {f"qwen2.5-7b/{stage}-lora" for stage in ("sft", "dpo", "grpo", "ppo")} <= names
    assert {"qwen3-8b/sft", "qwen3-8b/grpo"} <= names


@pytest.mark.parametrize("stage", ["sft", "ppo", "grpo"])
def test_what_would_fit_is_what_the_recipe_takes(stage: str) -> None:
    recipe = read_recipe(SEVEN / f"paper-{stage}.yaml")
    found = plan(recipe, Hardware("a100-80", 1, "single"))
    assert not found.fits
    assert "GiB" in found.problems[0]
    offers = suggestions(found)
    assert offers
    assert [one.cost for one in offers] == sorted(one.cost for one in offers)
    for one in offers:
        changed = read_recipe(recipe.path, [text for change in one.changes for text in change.overrides])
        assert plan(changed, one.plan.hardware).fits
        kinds = {change.kind for change in one.changes}
        assert not any({change.kind for change in other.changes} < kinds for other in offers)


def test_more_gpus_hold_less_each_and_take_less_time() -> None:
    recipe = read_recipe(SEVEN / "sft.yaml")
    four, eight = (plan(recipe, Hardware("h100", gpus, "zero3")) for gpus in (4, 8))
    assert eight.parts.optimizer == pytest.approx(four.parts.optimizer / 2)
    assert eight.parts.activations == four.parts.activations
    assert eight.hours == pytest.approx(four.hours / 2, rel=0.05)
    assert plan(recipe, Hardware("h200", 8, "zero3")).capacity > eight.capacity


def test_servers_have_gpus_of_their_own() -> None:
    servers = "engine={kind: vllm_server, servers: {urls: ['http://a:1', 'http://b:1'], sync: nccl}}"
    recipe = read_recipe(SEVEN / "grpo.yaml", [servers])
    found = plan(recipe, Hardware("h100", 8, "zero3"))
    assert (found.world, found.servers, found.parts.engine_weights) == (6, 2, 0.0)
    with pytest.raises(UserError, match="leaves none to train on"):
        plan(recipe, Hardware("h100", 2, "zero3"))


def test_a_data_file_says_how_long_rows_are(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"input_ids": list(range(length))}) + "\n" for length in (100, 300)))
    recipe = read_recipe(SEVEN / "sft.yaml", [f"data={data}"])
    lengths = plan(recipe, hardware_of(recipe)).load.lengths
    assert (lengths.rows, lengths.mean, lengths.source) == (2, 200, str(data))
    assert lengths.square(32_768) == pytest.approx((100**2 + 300**2) / 2)
    assert plan(recipe, hardware_of(recipe), Assumptions(), rows=7).load.lengths.rows == 7


def command(*words: str) -> object:
    return CliRunner().invoke(app, ["plan", *words])


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    done = command(str(SEVEN / "grpo.yaml"), "--gpus", "8", "--gpu", "h100", "--json", str(path))
    assert done.exit_code == 0
    assert "memory per GPU" in done.output
    assert "hours" in done.output
    assert "assumed, not measured" in done.output
    body = json.loads(path.read_text())
    sizes = body["bytes"]
    assert sizes["total"] == pytest.approx(sum(size for name, size in sizes.items() if name not in ("total", "of")))
    assert body["parameters"]["policy"]["all"] == 7_615_616_512


def test_strict_says_no_by_the_exit_code() -> None:
    words = (str(SEVEN / "paper-ppo.yaml"), "--gpus", "1", "--gpu", "a100-80")
    plain, strict = command(*words), command(*words, "--strict")
    assert (plain.exit_code, strict.exit_code) == (0, 1)
    assert "does not fit" in plain.output
    assert "would fit" in plain.output
    assert command(str(SEVEN / "sft-lora.yaml"), "--gpus", "1", "--gpu", "h100", "--strict").exit_code == 0


@pytest.mark.parametrize(("words", "said"), [
    (("--gpu", "tpu"), "the planner knows a100-80"), (("--gpus", "0"), "at least 1"),
    (("--launch", "zero9"), "choose among single"),
    (("--gpus", "4", "--launch", "single"), "one GPU"), (("batch_token=3",), "did you mean 'batch_tokens'"),
    (("--calibration", "none.jsonl"), "there is no such file")])
def test_bad_input_is_one_sentence(words: tuple[str, ...], said: str) -> None:
    error = command(str(SEVEN / "sft.yaml"), *words).exception
    assert isinstance(error, UserError)
    assert said in str(error)


def test_a_part_of_a_sequence_is_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_recipe(SEVEN / "grpo.yaml")
    made = plan(recipe, hardware_of(recipe, "h100", 8))
    tell(made._replace(sequences=8.9), Assumptions())
    assert "room for 8 sequences of 32,768 tokens" in " ".join(capsys.readouterr().out.split())
