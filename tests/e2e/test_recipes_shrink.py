"""Every recipe, two steps at toy width: what a person with GPUs would start runs through."""

from pathlib import Path

import pytest

from medcopilot.plan.compare import runner
from medcopilot.plan.recipe import TRAINED, class_of, stage_of, word_of
from medcopilot.train.config import load_config
from medcopilot.train.recipe import run_recipe
from medcopilot.train.shrink import shop_of

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in ROOT.glob("recipes/*/*.yaml") if word_of(path) in TRAINED)

pytestmark = pytest.mark.slow


def recipe_of(path: Path):
    """Configuration class and training function."""
    stage = stage_of(path)
    return class_of(stage), runner(stage)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_two_steps_at_toy_width(workplace, path, monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cls, run = recipe_of(path)
    assert run_recipe(cls, run, "", [str(path), "--shrink"]) == 0
    config = load_config(cls, path)
    checkpoint = shop_of(config).folder / "run" / "checkpoints" / config.name
    assert (checkpoint / "model.safetensors").is_file()
    assert not (workplace / config.run).exists()  # the recipe's own folder is not touched


def test_several_processes_are_refused(workplace, capsys, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    path = ROOT / "recipes" / "qwen2.5-7b" / "sft.yaml"
    assert run_recipe(*recipe_of(path), "", [str(path), "--shrink"]) == 2
    assert "start the recipe with python" in capsys.readouterr().err
