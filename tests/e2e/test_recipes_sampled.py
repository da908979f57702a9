"""Recipes that only sample have no `--shrink`: the scripted expert plays a task of each of their datasets in the policy's place."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from env.datasets import get_dataset
from env.sandbox import packages
from medcopilot.cli.main import app
from medcopilot.plan.recipe import SAMPLED, read_recipe, stage_of
from medcopilot.runs import RunFolder

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in ROOT.glob("recipes/*/*.yaml") if stage_of(path) in SAMPLED)
SMALL = {"train": 4, "test": 4, "patients": 60}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small twins, built by whichever recipe is first."""
    return tmp_path_factory.mktemp("data")


def call(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_that_samples_is_estimated_and_played(path: Path, data: Path, tmp_path: Path, sandbox: None) -> None:
    recipe = read_recipe(path)
    board = recipe.stage == "leaderboard"
    names = recipe.config.sample["datasets"] if board else recipe.config.datasets
    prefix = "sample." if board else ""
    changes = {"out": tmp_path, f"{prefix}builds": json.dumps(dict.fromkeys(names, SMALL)), f"{prefix}tasks_per_dataset": 1,
               **({"entries": "[{name: expert, policy: expert}]"} if board else {"policy": "expert", "samples": 2})}
    command = ["leaderboard", str(path)] if board else ["sample", "--config", str(path)]
    words = [*command, *(word for key, value in changes.items() for word in ("--set", f"{key}={value}")), "--root", str(data)]
    if missing := sorted({name for dataset in names for name in get_dataset(dataset).packages if not packages.is_installed(name)}):
        pytest.skip(f"the package set {missing[0]} is not installed: run `medcopilot sandbox packages {missing[0]}`")
    episodes = len(names) * (1 if board else 2)
    assert f"{episodes:,} of {episodes:,} episodes" in call(*words, "--estimate")
    assert not list(tmp_path.glob("**/traces"))
    call(*words)
    traces = list(RunFolder.open(tmp_path / "runs" / "expert" if board else tmp_path).traces())
    assert sorted({trace.dataset for trace in traces}) == sorted(names)
    assert len(traces) == episodes
    assert not any(trace.stop == "infrastructure" for trace in traces)
