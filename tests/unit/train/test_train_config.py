"""Recipe files: bad input is one sentence with the cure; every recipe in the repository loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from env.errors import UserError
from medcopilot.train.config import Config, StageConfig, dump_config, load_config
from medcopilot.train.recipe import run_recipe
from medcopilot.train.settings import DpoConfig, SftConfig


class Section(Config):
    rate: float = Field(0.1, gt=0)


class Recipe(StageConfig):
    name: str = "stage"
    data: Path
    section: Section = Section()
    maybe: Section | None = None
    listed: tuple[Section, ...] = ()
    named: dict[str, Section] = Field(default_factory=dict)


GOOD = "run: runs/x\ndata: rows.jsonl\nsection:\n  rate: 1e-4\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "stage.yaml"
    path.write_text(GOOD)
    return path


def complaint(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load_config(Recipe, path, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_numbers_without_a_dot_are_numbers(recipe: Path) -> None:
    assert load_config(Recipe, recipe).section.rate == 1e-4


def test_overrides_replace_nested_values(recipe: Path) -> None:
    config = load_config(Recipe, recipe, ["section.rate=0.5", "max_steps=7", "maybe.rate=2"])
    assert (config.section.rate, config.max_steps, config.maybe) == (0.5, 7, Section(rate=2))


def test_dump_and_load_agree(recipe: Path, tmp_path: Path) -> None:
    config = load_config(Recipe, recipe)
    again = tmp_path / "again.yaml"
    again.write_text(dump_config(config))
    assert load_config(Recipe, again) == config
    assert load_config(Recipe, again).digest() == config.digest()


def test_digest_ignores_what_cannot_change_the_result(recipe: Path) -> None:
    digest = load_config(Recipe, recipe).digest()
    assert load_config(Recipe, recipe, ["threads=2", "save_steps=5"]).digest() == digest
    assert load_config(Recipe, recipe, ["seed=1"]).digest() != digest


def test_unknown_key_names_file_key_and_nearest(recipe: Path) -> None:
    text = complaint(recipe, "sektion.rate=1")
    assert str(recipe) in text
    assert "'sektion'" in text
    assert "did you mean 'section'" in text


def test_unknown_nested_key_lists_the_valid_ones(recipe: Path) -> None:
    assert "'section.zzz'" in complaint(recipe, "section.zzz=1")
    assert "valid keys here are rate" in complaint(recipe, "section.zzz=1")
    assert "did you mean 'rate'" in complaint(recipe, "maybe.ratee=1")
    assert "'listed.0.ratee': did you mean 'rate'" in complaint(recipe, "listed=[{ratee: 1}]")
    assert "'named.one.zzz': remove it; valid keys here are rate" in complaint(recipe, "named.one.zzz=1")


def test_wrong_type_and_wrong_value_name_the_key(recipe: Path) -> None:
    assert "'section.rate'" in complaint(recipe, "section.rate=fast")
    assert "greater than 0" in complaint(recipe, "section.rate=-1")
    assert "'max_steps'" in complaint(recipe, "max_steps=1.5")


def test_missing_key_and_file(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text("run: runs/x\n")
    assert "'data' is missing" in complaint(recipe)
    assert "cannot be read" in complaint(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "", "\x00"])
def test_files_that_are_not_a_mapping(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert str(path) in complaint(path)


@pytest.mark.parametrize("override", ["max_steps", "=3", "section..rate=1"])
def test_malformed_override(recipe: Path, override: str) -> None:
    assert "key=value" in complaint(recipe, override)


def test_dry_run_prints_and_does_not_train(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_recipe(Recipe, pytest.fail, "", [str(recipe), "--dry-run", "--max-steps", "3", "section.rate=9"]) == 0
    printed = capsys.readouterr().out
    assert "max_steps: 3" in printed
    assert "rate: 9.0" in printed


def test_bad_input_exits_with_two(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_recipe(Recipe, pytest.fail, "", [str(recipe), "nonsense=1"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_full_disk_exits_with_two(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def full(_: Recipe) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    assert run_recipe(Recipe, full, "", [str(recipe)]) == 2
    assert "free some space" in capsys.readouterr().err


RECIPES = [path for stage in ("sft", "dpo") for path in sorted(Path(__file__).parents[3].glob(f"recipes/*/{stage}.yaml"))]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_sft_and_dpo_recipe_loads(path: Path) -> None:
    config = load_config(SftConfig if path.stem == "sft" else DpoConfig, path)
    assert config.name == path.stem
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any("Hardware" in line for line in header)
    assert any("Global batch" in line for line in header)


def test_the_recipe_is_the_first_word_or_the_option(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Recipe] = []
    file = str(recipe)
    for words in ([file, "max_steps=4"], ["--config", file, "--max-steps", "4"], ["max_steps=4", "--config", file]):
        assert run_recipe(Recipe, seen.append, "", words) == 0
    assert [config.max_steps for config in seen] == [4, 4, 4]
    with pytest.raises(SystemExit, match="2"):
        run_recipe(Recipe, seen.append, "", ["--max-steps", "4"])
    assert "a recipe is missing" in capsys.readouterr().err
