"""SFT stages at tiny size: the loss by hand, resuming, refusing, and that copying can be learnt."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from env.errors import UserError
from medcopilot.data.rows import Card, rows_digest, tokenizer_digest, write_rows
from medcopilot.train import loop
from medcopilot.train.batches import PadRight, SftRows
from medcopilot.train.launch import Preempted
from medcopilot.train.model import NanoShape, load_checkpoint, new_nano, read_meta
from medcopilot.train.settings import LoraSettings, ModelConfig, OptimizerConfig, SftConfig
from medcopilot.train.sft import compact_loss, run_sft


@pytest.fixture
def data(tmp_path: Path, sft_rows: list[dict[str, Any]], tokenizer: Any) -> Path:
    path = tmp_path / "sft.jsonl"
    write_rows(path, sft_rows, Card(kind="sft", digest=rows_digest(sft_rows), rows=len(sft_rows), tokens=0, trained_tokens=0,
                                    tokenizer=tokenizer_digest(tokenizer)))
    return path


@pytest.fixture
def config(tmp_path: Path, data: Path, tokenizer_folder: Path, tiny_shape: dict[str, int]) -> SftConfig:
    model = ModelConfig(tokenizer=str(tokenizer_folder), shape=NanoShape(**tiny_shape))
    return SftConfig(run=tmp_path / "run", data=data, model=model, max_steps=6, batch_tokens=512, log_steps=2, bf16=False,
                     device="cpu", optimizer=OptimizerConfig(warmup_steps=2, muon_lr=0.02, lr=0.01))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(folder).model.named_parameters())


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_loss_is_the_mean_over_trained_tokens(tokenizer: Any, sft_rows: list[dict[str, Any]], tiny_shape: dict[str, int]) -> None:
    model = new_nano(tokenizer, NanoShape(**tiny_shape))
    rows = SftRows(sft_rows[:5])
    batch = PadRight(0, multiple=16, budget=1024)([rows[i] for i in range(5)])
    found, _ = compact_loss(model, batch["input_ids"], batch["labels"])
    total, count = torch.tensor(0.0), 0
    for row in sft_rows[:5]:
        logprobs = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1)
        for position, label in enumerate(row["labels"]):
            if label != -100:
                total, count = total - logprobs[position - 1, label], count + 1
    torch.testing.assert_close(found, total / count, rtol=1e-4, atol=1e-5)


def test_masked_labels_and_padding_cannot_move_the_loss(tokenizer: Any, sft_rows: list[dict[str, Any]],
                                                        tiny_shape: dict[str, int]) -> None:
    model = new_nano(tokenizer, NanoShape(**tiny_shape))
    rows = SftRows(sft_rows[:3])
    plain = PadRight(0)([rows[i] for i in range(3)])
    padded = PadRight(0, multiple=64, budget=2048)([rows[i] for i in range(3)])
    losses = [compact_loss(model, batch["input_ids"], batch["labels"])[0] for batch in (plain, padded)]
    torch.testing.assert_close(losses[0], losses[1])


def test_a_stage_learns_and_writes_everything(config: SftConfig) -> None:
    result = run_sft(config.model_copy(update={"max_steps": 60}))
    rows = [json.loads(line) for line in config.metrics.read_text().splitlines()]
    assert rows[-1]["step"] == result.steps == 60
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert result.tokens_per_second > 0
    meta = read_meta(config.checkpoint)
    assert (meta.profile, meta.policy_version, meta.stage, meta.parent) == ("nano", 1, "sft", "")
    assert not config.work.exists()
    assert "max_steps: 60" in (config.checkpoint / "recipe.yaml").read_text()


def test_finished_stages_are_recognised_and_changed_ones_refused(config: SftConfig, capsys: pytest.CaptureFixture[str]) -> None:
    run_sft(config)
    before = weights(config.checkpoint)
    assert run_sft(config).steps == 0
    assert "finished before" in capsys.readouterr().err
    with pytest.raises(UserError, match="other settings"):
        run_sft(config.model_copy(update={"seed": 1}))
    assert same(before, weights(config.checkpoint))
    trial = run_sft(config.model_copy(update={"trial": True}))
    assert trial.steps == 6, "a trial runs each time that it is typed"
    assert same(before, weights(config.checkpoint))


def test_an_interrupted_stage_resumes_to_the_same_weights(config: SftConfig, monkeypatch: pytest.MonkeyPatch,
                                                          tmp_path: Path) -> None:
    run_sft(config)
    straight = weights(config.checkpoint)
    interrupted = config.model_copy(update={"run": tmp_path / "again", "save_steps": 2})
    original = loop.Progress.on_save

    def stop_after_four(self: loop.Progress, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop.Progress, "on_save", stop_after_four)
    with pytest.raises(KeyboardInterrupt):
        run_sft(interrupted)
    assert not interrupted.checkpoint.exists()
    with pytest.raises(UserError, match="interrupted"):
        run_sft(interrupted.model_copy(update={"seed": 9}))
    (interrupted.work / "checkpoint-9").mkdir()  # torn: the process died while writing it
    monkeypatch.setattr(loop.Progress, "on_save", original)
    assert run_sft(interrupted).steps == 6
    assert same(straight, weights(interrupted.checkpoint))
    assert [json.loads(line)["step"] for line in interrupted.metrics.read_text().splitlines()] == [2, 4, 6]
    events = interrupted.run / "tensorboard" / "sft"
    assert len(list(events.iterdir())) == 1
    read = EventAccumulator(str(events)).Reload()
    assert [event.step for event in read.Scalars("loss")] == [2, 4, 6]


def test_a_stage_that_is_told_to_make_room_saves_and_goes_on_to_the_same_weights(config: SftConfig, monkeypatch: pytest.MonkeyPatch,
                                                                              tmp_path: Path) -> None:
    run_sft(config)
    straight = weights(config.checkpoint)
    told = config.model_copy(update={"run": tmp_path / "told"})  # without save_steps: the signal alone leads to a state
    handler = signal.getsignal(signal.SIGTERM)
    original = loop.Progress.on_step_end

    def signal_in_the_third_step(self: loop.Progress, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # a launcher passes on what the scheduler has told every process

    monkeypatch.setattr(loop.Progress, "on_step_end", signal_in_the_third_step)
    with pytest.raises(Preempted, match="after step 3; the same command goes on"):
        run_sft(told)
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not told.checkpoint.exists()
    monkeypatch.setattr(loop.Progress, "on_step_end", original)
    assert run_sft(told).steps == 6
    assert same(straight, weights(told.checkpoint))


def test_a_stage_that_is_told_in_its_last_step_finishes(config: SftConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    original = loop.Progress.on_step_end

    def signal_before_the_last(self: loop.Progress, args: Any, state: Any, control: Any, **rest: Any) -> None:
        original(self, args, state, control, **rest)
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop.Progress, "on_step_end", signal_before_the_last)
    assert run_sft(config).steps == 6
    assert config.checkpoint.is_dir()


def test_a_stage_that_was_stopped_before_its_checkpoint_makes_no_further_step(config: SftConfig,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    saved = config.model_copy(update={"save_steps": 2, "log_steps": 1})
    original = loop.finish
    monkeypatch.setattr("medcopilot.train.loop.finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_sft(saved)
    assert not saved.checkpoint.exists()
    monkeypatch.setattr("medcopilot.train.loop.finish", original)
    assert run_sft(saved).steps == 6
    assert [json.loads(line)["step"] for line in saved.metrics.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]
    other = config.model_copy(update={"run": config.run.with_name("straight")})
    run_sft(other)
    assert same(weights(saved.checkpoint), weights(other.checkpoint))


def test_a_time_budget_ends_and_anneals_the_run(config: SftConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(loop.Horizon, "elapsed", lambda self: 0.01 * next(clock))
    run_sft(config.model_copy(update={"max_steps": None, "max_seconds": 0.6, "log_steps": 1}))
    rates = [json.loads(line)["learning_rate"] for line in config.metrics.read_text().splitlines()]
    assert 5 < len(rates) < 60
    assert rates[-1] < 0.5 * max(rates)


def test_training_goes_on_from_a_checkpoint_with_lora(config: SftConfig, tmp_path: Path) -> None:
    first = run_sft(config.model_copy(update={"max_steps": 2})).checkpoint
    model = ModelConfig(checkpoint=str(first), lora=LoraSettings(rank=4, alpha=8))
    adamw = OptimizerConfig(name="adamw", lr=0.01)
    second = config.model_copy(update={"name": "more", "model": model, "max_steps": 2, "optimizer": adamw})
    run_sft(second)
    meta = read_meta(second.checkpoint)
    assert (meta.policy_version, meta.profile) == (2, "nano")
    assert meta.parent == load_checkpoint(first).digest
    assert not same(weights(first), weights(second.checkpoint))
    assert weights(first).keys() == weights(second.checkpoint).keys()


def test_rows_that_do_not_fit_are_refused(config: SftConfig, data: Path, sft_rows: list[dict[str, Any]], tokenizer: Any) -> None:
    with pytest.raises(UserError, match="no row has trained tokens"):
        run_sft(config.model_copy(update={"max_length": 5}))
    with pytest.raises(UserError, match="no training rows"):
        run_sft(config.model_copy(update={"data": data.with_name("missing.jsonl")}))
    card = Card(kind="sft", digest="", rows=1, tokens=0, trained_tokens=0, tokenizer="another")
    write_rows(data, sft_rows, card)
    with pytest.raises(UserError, match="another tokenizer"):
        run_sft(config)
    card.tokenizer = tokenizer_digest(tokenizer)
    write_rows(data, [{"input_ids": [1, 10_000], "labels": [-100, 10_000]}], card)
    with pytest.raises(UserError, match="outside the model's vocabulary"):
        run_sft(config)
    write_rows(data, [{"input_ids": [1, 2]}], card)
    with pytest.raises(UserError, match="lack labels"):
        run_sft(config)


def test_a_run_needs_an_end_and_one_source(config: SftConfig) -> None:
    body = config.model_dump()
    with pytest.raises(ValueError, match="needs an end"):
        SftConfig(**{**body, "max_steps": None})
    with pytest.raises(ValueError, match="either"):
        SftConfig(**{**body, "model": {}})
