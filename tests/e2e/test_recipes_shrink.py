"""Every recipe of the large models, two steps at toy width: what a person with GPUs would start runs through."""

import os
from pathlib import Path

import pytest

from medcopilot.train.recipe import run_recipe

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("sft", "dpo", "ppo", "grpo", "verifier")
FILES = sorted(path for path in ROOT.glob("recipes/qwen*/*.yaml") if path.stem.removeprefix("paper-") in STAGES)

pytestmark = pytest.mark.slow


def recipe_of(stage: str):
    """Configuration class and training function."""
    if stage in ("sft", "dpo"):
        from medcopilot.train import dpo, settings, sft

        return (settings.SftConfig, sft.run_sft) if stage == "sft" else (settings.DpoConfig, dpo.run_dpo)
    if stage == "verifier":
        from medcopilot.train.settings import VerifierConfig
        from medcopilot.verifier.train import run_verifier

        return VerifierConfig, run_verifier
    if stage == "grpo":
        from medcopilot.rl.grpo import GrpoConfig, run_grpo

        return GrpoConfig, run_grpo
    from medcopilot.rl.ppo import run_ppo
    from medcopilot.rl.ppo_settings import PpoConfig

    return PpoConfig, run_ppo


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder to run in: recipes name folders relative to it."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("shrink")
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_two_steps_at_toy_width(workplace, path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stage = path.stem.removeprefix("paper-")
    assert run_recipe(*recipe_of(stage), "", [str(path), "--shrink"]) == 0
    [shop] = [folder for folder in (workplace / "runs" / "shrink").iterdir()
              if (folder / "run" / "checkpoints" / path.stem).is_dir() and ("14b" in str(path)) == ("14b" in folder.name)
              ] if "verifier" not in path.stem else [workplace / "runs" / "shrink" / "7b-full"]
    checkpoint = shop / "run" / "checkpoints" / path.stem
    assert (checkpoint / "model.safetensors").is_file()
    assert not (workplace / "runs" / path.parent.name).exists()  # the recipe's own folder is not touched


def test_several_processes_are_refused(workplace, capsys, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    path = ROOT / "recipes" / "qwen2.5-7b" / "sft.yaml"
    assert run_recipe(*recipe_of("sft"), "", [str(path), "--shrink"]) == 2
    assert "start the recipe with python" in capsys.readouterr().err
