"""Recipes that make their inputs: only those of the demo, and never in silence."""

import pytest

from env.errors import UserError
from medcopilot.train.config import load_config
from medcopilot.train.prepare import make_inputs
from medcopilot.train.settings import SftConfig


def recipe(tmp_path, **values):
    chosen = {"run": tmp_path / "run", "data": tmp_path / "demo" / "data" / "sft.jsonl",
              "model.tokenizer": tmp_path / "demo" / "tok", "prepare.out": tmp_path / "demo", "prepare.scale": "tiny", **values}
    return load_config(SftConfig, "recipes/nano/sft.yaml", [f"{key}={value}" for key, value in chosen.items()])


def test_inputs_outside_the_demo_are_never_made(tmp_path):
    make_inputs(recipe(tmp_path, **{"data": tmp_path / "mine.jsonl", "model.tokenizer": tmp_path / "mine"}))
    assert not (tmp_path / "demo").exists()


def test_inputs_that_are_there_are_left_alone(tmp_path):
    config = recipe(tmp_path)
    config.data.parent.mkdir(parents=True)
    config.data.write_text("{}\n")
    (tmp_path / "demo" / "tok").mkdir()
    make_inputs(config)
    assert not (tmp_path / "demo" / "demo.json").exists()


def test_a_demo_of_another_kind_is_refused_not_overwritten(tmp_path, capfd):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "demo.json").write_text('{"scale": "mine"}')
    with pytest.raises(UserError, match="inputs of sft could not be made"):
        make_inputs(recipe(tmp_path))
    said = capfd.readouterr().err
    assert "sft.jsonl is not there yet" in said
    assert "other settings" in said
    assert (tmp_path / "demo" / "demo.json").read_text() == '{"scale": "mine"}'


def test_without_the_key_nothing_is_made(tmp_path):
    make_inputs(load_config(SftConfig, "recipes/nano/sft.yaml", ["prepare=null", f"data={tmp_path / 'x'}"]))
    assert list(tmp_path.iterdir()) == []


def test_what_makes_the_inputs_is_no_part_of_what_is_learnt(tmp_path):
    data = [f"run={tmp_path}", f"data={tmp_path / 'rows.jsonl'}"]
    with_it = load_config(SftConfig, "recipes/nano/sft.yaml", data)
    assert with_it.prepare is not None
    assert with_it.digest() == load_config(SftConfig, "recipes/nano/sft.yaml", [*data, "prepare=null"]).digest()
