"""Every recipe is parsed, dry-run and planned, and fits the hardware that its header names."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from env.errors import UserError
from medcopilot.cli.main import app
from medcopilot.improve import main as improve_main
from medcopilot.plan.assumptions import Assumptions
from medcopilot.plan.estimate import Hardware, hardware_of, plan
from medcopilot.plan.recipe import IMPROVE, SAMPLED, STAGES, TRAINED, class_of, read_recipe, stage_of
from medcopilot.plan.sampling import ON_CPU
from medcopilot.plan.search import suggestions
from medcopilot.plan.show import hours_text, tell
from medcopilot.train.recipe import run_recipe

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted(ROOT.glob("recipes/*/*.yaml"))
SERVERS = "engine={kind: vllm_server, servers: {urls: [%s], sync: nccl}}"
SEVEN = ROOT / "recipes" / "qwen2.5-7b"


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def servers(count: int) -> str:
    return SERVERS % ", ".join(f"'http://a:{port}'" for port in range(1, count + 1))


def test_there_is_a_recipe_of_every_stage() -> None:
    assert {stage_of(path) for path in FILES} == set(STAGES)  # no file is of none


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_recipe_is_parsed_planned_and_dry_run(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
                                                ) -> None:
    monkeypatch.chdir(ROOT)  # self-improvement names its trainings' recipes from here
    recipe = read_recipe(path)
    found = plan(recipe, hardware_of(recipe))
    assert found.problems == ()
    assert found.hours is None or 0 < found.hours < 500
    assert found.parts.total == pytest.approx(sum(found.parts))
    assert all(size >= 0 for size in found.parts)
    told = re.search(r"([\d.]+ to [\d.]+) hours \(`medcopilot plan`", path.read_text())
    assert told is None or told[1] == hours_text(found)
    assert told is not None or path.parent.name == "nano"
    if recipe.stage == IMPROVE:
        assert improve_main("", [str(path), "--dry-run"]) == 0
        shown = capsys.readouterr().out
        assert all(name in shown for name in ("medcopilot sample", "medcopilot export dpo", "dpo.py"))
    elif recipe.stage in TRAINED:
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


@pytest.mark.parametrize(("gpus", "count"), [(8, 4), (16, 8), (8, 5)])
def test_servers_have_gpus_of_their_own(gpus: int, count: int) -> None:
    recipe = read_recipe(SEVEN / "grpo.yaml", [servers(count)])
    found = plan(recipe, Hardware("h200", gpus, "zero3"))
    assert (found.world, found.servers, found.parts.engine_weights) == (gpus - count, count, 0.0)
    assert found.fits
    with pytest.raises(UserError, match="leaves none to train on"):
        plan(recipe, Hardware("h200", count, "zero3"))


@pytest.mark.parametrize(("gpus", "count"), [(8, 2), (16, 1), (8, 3)])
def test_fewer_servers_than_ranks_do_not_fit(gpus: int, count: int) -> None:
    """Training refuses them (`ServerSettings.share`)."""
    changes = (servers(count),)
    found = plan(read_recipe(SEVEN / "grpo.yaml", changes), Hardware("h200", gpus, "zero3"))
    assert not found.fits
    assert f"{count} servers for {gpus - count} ranks" in found.problems[0]
    for one in suggestions(found, overrides=changes):
        assert one.plan.servers >= one.plan.world


@pytest.mark.parametrize("path", [path for path in FILES if stage_of(path) in SAMPLED], ids=name_of)
def test_sampling_has_one_gpu_whatever_there_is(path: Path) -> None:
    recipe = read_recipe(path)
    one, eight = (plan(recipe, hardware_of(recipe, "h100", gpus)) for gpus in (1, 8))
    assert (eight.hours, eight.parts, eight.hardware) == (one.hours, one.parts, Hardware("h100", 1, "single"))
    if path.parent.name == "nano":  # folders, which transformers plays on the CPU
        assert one.load.notes == eight.load.notes == (ON_CPU,)
        return
    assert one.load.notes == ()
    assert "the other 7 stay idle" in eight.load.notes[0]


def test_a_folder_alone_is_played_on_the_cpu_and_takes_no_gpu() -> None:
    path = SEVEN / "sample.yaml"
    bare = plan(recipe := read_recipe(path, ["policy=runs/qwen2.5-7b/checkpoints/sft"]), hardware_of(recipe))
    quick = plan(recipe := read_recipe(path), hardware_of(recipe))
    assert bare.load.notes == (ON_CPU,)
    assert "write vllm:FOLDER" in ON_CPU
    assert (bare.parts.total, bare.hours, bare.sequences) == (0.0, None, None)
    assert (bare.load.model, bare.load.lengths.rows) == (quick.load.model, quick.load.lengths.rows)
    assert quick.parts.total > 0
    assert quick.hours is not None


def test_a_leaderboard_is_planned_for_the_entries_that_vllm_plays() -> None:
    path = ROOT / "recipes" / "nano" / "leaderboard.yaml"
    entries = "entries=[{name: a, policy: runs/demo/checkpoints/sft}, {name: b, policy: 'vllm:runs/demo/checkpoints/dpo'}]"
    both, all_slow = (plan(recipe := read_recipe(path, changes), hardware_of(recipe)) for changes in ([entries], []))
    assert both.load.notes == (ON_CPU,)
    assert both.load.model == "runs/demo/checkpoints/dpo"
    assert both.load.lengths.rows == pytest.approx(all_slow.load.lengths.rows / 3)  # of three folders
    assert both.hours is not None


def test_workers_with_an_engine_each_do_not_share_a_gpu() -> None:
    changes = ("backend=joblib", "workers=4")
    recipe = read_recipe(SEVEN / "sample.yaml", changes)
    found = plan(recipe, hardware_of(recipe))
    assert "4 processes load an engine each" in found.problems[0]
    assert suggestions(found, overrides=changes) == []  # no other hardware helps


@pytest.mark.parametrize("policy", ["openai:m@http://127.0.0.1:8000/v1", "served:runs/x@http://127.0.0.1:8000", "expert"])
def test_what_plays_elsewhere_needs_no_gpu_here(policy: str) -> None:
    recipe = read_recipe(SEVEN / "sample.yaml", [f"policy={policy}"])
    with pytest.raises(UserError, match="nothing to plan"):
        plan(recipe, hardware_of(recipe))


@pytest.fixture
def improvement(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return SEVEN / "self-improve.yaml"


def test_self_improvement_takes_the_hours_of_all_its_steps(improvement: Path) -> None:
    recipe = read_recipe(improvement)
    found = plan(recipe, hardware_of(recipe))
    names = [name for name, _ in found.commands]
    assert names == ["eval-start", "sft-1-sample", "sft-1-train", "dpo-1-sample", "dpo-1-export", "dpo-1-train", "eval-1",
                     "dpo-2-sample", "dpo-2-export", "dpo-2-train", "eval-2"]
    steps = dict(found.commands)
    assert found.hours == pytest.approx(sum(one.hours or 0 for one in steps.values()))
    assert found.parts.total == max(one.parts.total for one in steps.values())
    assert (steps["sft-1-train"].hardware, steps["dpo-1-sample"].hardware) == (
        Hardware("a100-80", 8, "zero3"), Hardware("a100-80", 1, "single"))
    assert (steps["sft-1-train"].load.lengths.rows, steps["dpo-1-export"].load.lengths.rows) == (1000, 32_000)
    alone = plan(recipe := read_recipe(SEVEN / "sample.yaml"), hardware_of(recipe))
    assert steps["sft-1-sample"].hours == pytest.approx(alone.hours)  # the same settings
    third = plan(read_recipe(improvement, ["rounds=3"]), Hardware("a100-80", 8, "zero3"))
    last = sum(one.hours or 0 for name, one in steps.items() if "2" in name)
    assert third.hours == pytest.approx(found.hours + last)


def test_self_improvement_that_does_not_fit_says_which_step(improvement: Path) -> None:
    found = plan(read_recipe(improvement), Hardware("a100-80", 1, "single"))
    assert found.problems[0].startswith("sft-train: needs")
    offers = suggestions(found)
    assert offers
    assert all(one.plan.fits and one.plan.commands for one in offers)
    with pytest.raises(UserError, match=r"set sft\.export\.limit"):
        plan(found.recipe, found.hardware, rows=5)


def test_trainings_without_a_launcher_are_one_process(improvement: Path) -> None:
    found = plan(read_recipe(improvement, ["launch=[]"]), Hardware("h200", 8, "zero3"))
    assert {one.hardware.gpus for _, one in found.commands} == {1}
    assert "`launch` is empty" in found.load.notes[0]


def test_samplings_on_servers_are_left_out(improvement: Path) -> None:
    found = plan(read_recipe(improvement, ["policy=served:{checkpoint}@http://127.0.0.1:8000"]), Hardware("h200", 8, "zero3"))
    assert not any(name.endswith("sample") for name, _ in found.commands)
    assert "servers" in " ".join(found.load.notes)


def test_the_command_tells_the_steps(improvement: Path, tmp_path: Path) -> None:
    done = command(str(improvement), "--json", str(tmp_path / "plan.json"))
    assert done.exit_code == 0
    told = done.output.split()
    assert {"sft-train", "dpo-export", "step", "hours"} <= set(told)
    body = json.loads((tmp_path / "plan.json").read_text())
    assert body["hours"] == pytest.approx(sum(step["hours"] for step in body["commands"]))


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
    (("--calibration", "none.jsonl"), "there is no such file"), (("--json", "/"), "/ is a folder: name a file")])
def test_bad_input_is_one_sentence(words: tuple[str, ...], said: str) -> None:
    error = command(str(SEVEN / "sft.yaml"), *words).exception
    assert isinstance(error, UserError)
    assert said in str(error)


@pytest.mark.parametrize(("file", "said"), [
    ("nope.yaml", "there is no such file"), (str(ROOT / "recipes"), "there is no such file"),
    (str(ROOT / "mkdocs.yml"), "ppo, sample, eval, leaderboard or self-improve")])
def test_a_file_that_is_no_recipe(file: str, said: str) -> None:
    assert said in str(command(file).exception)


@pytest.mark.parametrize("name", ["H100", "h100", "A100", "a100-80", "A100-80", "H200"])
def test_a_gpu_is_named_as_headers_and_data_sheets_do(name: str) -> None:
    assert hardware_of(read_recipe(SEVEN / "sft.yaml"), name).gpu in ("h100", "a100-80", "h200")


def test_a_part_of_a_sequence_is_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_recipe(SEVEN / "grpo.yaml")
    made = plan(recipe, hardware_of(recipe, "h100", 8))
    tell(made._replace(sequences=8.9), Assumptions())
    assert "room for 8 sequences of 32,768 tokens" in " ".join(capsys.readouterr().out.split())
