"""A run of the verifier: no task on both sides, a tiny model that learns to judge, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from env.errors import UserError
from medcopilot.data.export import write_selection
from medcopilot.data.rows import Card, write_rows
from medcopilot.trace import Trace
from medcopilot.train.config import load_config
from medcopilot.train.model import NanoShape
from medcopilot.train.settings import ModelConfig, OptimizerConfig, VerifierConfig
from medcopilot.verifier import Verifier
from medcopilot.verifier.rows import VerifierOptions
from medcopilot.verifier.train import run_verifier, split_by_task

RECIPES = sorted(Path(__file__).parents[3].glob("recipes/*/*verifier.yaml"))
SHAPE = NanoShape(hidden=64, layers=2, heads=2, feed_forward=128, positions=512)


@pytest.fixture
def config(tmp_path: Path, traces: list[Trace], tokenizer: Any, tokenizer_folder: Path) -> VerifierConfig:
    data = tmp_path / "verifier.jsonl"
    write_selection(traces, data, tokenizer, VerifierOptions(profile="nano", max_length=300))
    return VerifierConfig(run=tmp_path / "run", data=data, model=ModelConfig(tokenizer=str(tokenizer_folder), shape=SHAPE),
                          max_steps=60, batch_tokens=2048, bf16=False, device="cpu", held_out=0.3, log_steps=10,
                          optimizer=OptimizerConfig(name="adamw", lr=0.004, warmup_steps=5, schedule="linear"))


def test_a_tiny_verifier_judges_tasks_that_it_has_not_seen(config: VerifierConfig, traces: list[Trace],
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    result = run_verifier(config)
    said = capsys.readouterr()
    path = config.run / "metrics" / "verifier-eval.json"
    found = json.loads(path.read_text())
    assert found["auroc"]["estimate"] > 0.9
    assert found["auroc"]["low"] > 0.7
    assert found["within_tasks"]["share"] > 0.9
    assert (found["rows"], found["tasks"], found["training_rows"]) == (48, 12, 112)
    assert found["brier"] < 0.25
    assert (found["submitted"]["rows"], found["submitted"]["auroc"]) == (48, found["auroc"])
    assert {name: part["rows"] for name, part in found["datasets"].items()} == {"medcalcbench": 24, "mimic_iii": 24}
    assert "AUROC 0.9" in said.out or "AUROC 1.0" in said.out
    assert str(path) in said.out
    assert sum(row["count"] for row in found["reliability"]) == 48
    verifier = Verifier.from_checkpoint(result.checkpoint, device="cpu")
    assert (verifier.prompt.profile, verifier.prompt.max_tokens) == ("nano", 300)
    scores = verifier.score(traces[:40])
    judged = list(zip(scores, traces, strict=False))
    right, wrong = ([score for score, trace in judged if trace.success is side] for side in (True, False))
    assert min(right) > 0.5 > max(wrong)
    path.unlink()
    (result.checkpoint / "verifier.json").unlink()
    assert run_verifier(config).steps == 0  # found finished; what a stopped run still owed is written
    assert json.loads(path.read_text()) == found
    assert (result.checkpoint / "verifier.json").is_file()


@pytest.mark.parametrize("share", [0.01, 0.25, 0.99])
def test_no_task_is_on_both_sides(share: float) -> None:
    rows = [{"dataset": dataset, "task_id": f"t{task}", "n": n} for dataset in "ab" for task in range(8) for n in range(3)]
    training, held_out = split_by_task(rows, share, seed=0)
    sides = [{(row["dataset"], row["task_id"]) for row in side} for side in (training, held_out)]
    assert not sides[0] & sides[1]
    assert len(training) + len(held_out) == len(rows)
    expected = min(7, max(1, round(share * 8)))
    assert all(sum(name == dataset for name, _ in sides[1]) == expected for dataset in "ab")
    assert split_by_task(rows, share, seed=0) == (training, held_out)


def test_rows_that_do_not_fit_are_refused_before_training(config: VerifierConfig, traces: list[Trace], tokenizer: Any) -> None:
    row = {"input_ids": [1, 2], "labels": [-100, 2], "submitted": True, "dataset": "a", "task_id": "t"}
    card = Card(kind="sft", digest="", rows=1, tokens=2, trained_tokens=1, tokenizer="")
    write_rows(config.data, [row], card)
    with pytest.raises(UserError, match="the rows lack answer"):
        run_verifier(config)
    write_rows(config.data, [{**row, "answer": "YES"}], card)
    with pytest.raises(UserError, match="no rows of a verifier"):
        run_verifier(config)
    write_selection(traces[:4], config.data, tokenizer, VerifierOptions(profile="nano"))
    with pytest.raises(UserError, match="the held-out part has no NO and no YES among its 0 rows"):
        run_verifier(config)
    card.kind, card.options = "verifier", {"profile": "huge"}
    write_rows(config.data, [{**row, "answer": "YES"}], card)
    with pytest.raises(UserError, match="does not say which prompts"):
        run_verifier(config)
    assert not config.run.exists()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_recipe_loads_and_says_what_it_needs(path: Path) -> None:
    assert load_config(VerifierConfig, path).name == path.stem
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for word in ("Hardware", "Global batch"):
        assert any(word in line for line in header)
