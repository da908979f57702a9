"""`medcopilot sample --config`: a whole sampling run in one file."""

from pathlib import Path

import pytest

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
