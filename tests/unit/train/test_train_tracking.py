"""Trackers: points are never doubled, W&B is asked for and gets numbers, alarms are said once, a tracker never ends a run."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from env.errors import UserError
from medcopilot.jsonl import append_row, read_rows
from medcopilot.train import loop, tracking
from medcopilot.train.config import StageConfig, TrackingConfig, WandbSettings
from medcopilot.train.tracking import Tracker, forget, hyperparameters, numbers


def points(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of every event on disk, doubled ones included."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util import tensor_util

    return [(value.tag, event.step, float(tensor_util.make_ndarray(value.tensor))) for path in sorted(folder.iterdir())
            for event in EventFileLoader(str(path)).Load() for value in event.summary.value]


@pytest.fixture
def config(tmp_path: Path) -> StageConfig:
    return StageConfig(run=tmp_path / "run", name="toy")


def train_from(config: StageConfig, first: int, last: int, elapsed: float = 0.0) -> None:
    """What a stage does with its tracker."""
    tracker = Tracker(config, elapsed)
    for step in range(first, last + 1):
        row = {"step": step, "seconds": 2.0 * step, "loss": 1 / step, "note": "text", "bad": math.nan}
        append_row(config.metrics, row)
        tracker.log(row)
    tracker.close()


def test_event_files_hold_the_rows_and_a_resumed_stage_doubles_none(config: StageConfig) -> None:
    train_from(config, 1, 5)
    with config.metrics.open("a") as handle:
        handle.write('{"step": 6, "los')  # the process died in mid-line
    forget(config, 3)  # the last complete state
    train_from(config, 4, 6, elapsed=6.0)
    rows = read_rows(config.metrics)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    found = points(config.run / "tensorboard" / "toy")
    assert sorted(found) == sorted((name, row["step"], pytest.approx(row[name])) for row in rows for name in ("loss", "seconds"))


def test_trackers_do_not_change_what_a_run_computes(config: StageConfig) -> None:
    other = config.model_copy(update={"tracking": TrackingConfig(tensorboard=False, wandb=WandbSettings(project="p"), samples=0)})
    assert other.digest() == config.digest()


def test_a_fresh_start_forgets_everything_and_a_resumed_one_what_came_later(config: StageConfig) -> None:
    tracker = Tracker(config.model_copy(update={"tracking": TrackingConfig(tensorboard=False)}))
    for step in (1, 2, 3):
        tracker.alarm(step, "x", 1.0, 0.5, "too much")
        (config.samples).mkdir(parents=True, exist_ok=True)
        (config.samples / f"step-{step}.md").write_text("x")
    forget(config, 2)
    assert [row["step"] for row in read_rows(config.alarms)] == [1, 2]
    assert sorted(path.name for path in config.samples.iterdir()) == ["step-1.md", "step-2.md"]
    forget(config, 0)
    assert not config.alarms.exists()
    assert list(config.samples.iterdir()) == []


def test_an_alarm_is_on_file_each_time_and_said_when_it_begins(config: StageConfig, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Tracker(config.model_copy(update={"tracking": TrackingConfig(tensorboard=False)}))
    for step, value in enumerate((0.05, 0.06, 0.2, 0.0, 0.06), start=1):
        tracker.alarm(step, "infrastructure", value, 0.05, f"{value} of all")
    assert [row["step"] for row in read_rows(config.alarms)] == [2, 3, 5]
    assert capsys.readouterr().err.splitlines() == ["ALARM toy step 2: 0.06 of all", "ALARM toy step 5: 0.06 of all"]


def test_without_tensorboard_training_goes_on_with_a_word(config: StageConfig, monkeypatch: pytest.MonkeyPatch,
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    train_from(config, 1, 2)
    assert "tracking.tensorboard=false" in capsys.readouterr().err
    assert not (config.run / "tensorboard").exists()


def test_a_tracker_that_fails_is_switched_off(config: StageConfig, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: Any) -> None:
        raise OSError("the disk is gone")

    tracker = Tracker(config)
    monkeypatch.setattr(tracking.TensorBoard, "log", fail)
    for step in (1, 2):
        tracker.log({"step": step, "loss": 1.0})
    tracker.close()
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "switched off" in said[0]
    assert str(config.metrics) in said[0]


class FakeWandb(SimpleNamespace):
    """The library's part that we use, remembering what it was told."""

    def __init__(self) -> None:
        super().__init__(logged=[], opened=[], Settings=lambda **given: given, Table=lambda columns, data: ("table", data))

    def init(self, **given: Any) -> Any:
        self.opened.append(given)
        return SimpleNamespace(log=lambda values, step: self.logged.append((step, values)), finish=lambda: None)


def online(config: StageConfig, **settings: Any) -> StageConfig:
    return config.model_copy(update={"tracking": TrackingConfig(tensorboard=False, wandb=WandbSettings(project="p", **settings))})


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_wandb_is_never_a_default_and_refused_when_missing(config: StageConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.tracking.wandb is None
    monkeypatch.setitem(sys.modules, "wandb", None)
    loop.prepare_torch(config)
    with pytest.raises(UserError, match="pip install wandb") as refusal:
        loop.prepare_torch(online(config))
    assert "\n" not in str(refusal.value)


def test_wandb_gets_numbers_and_neither_text_nor_machine(config: StageConfig, wandb: FakeWandb) -> None:
    train_from(online(config), 1, 2)
    assert wandb.logged == [(1, {"seconds": 2.0, "loss": 1.0}), (2, {"seconds": 4.0, "loss": 0.5})]
    given = wandb.opened[0]
    assert given["mode"] == "offline"
    assert all(isinstance(value, bool | int | float) for value in given["config"].values())
    assert given["settings"] | {"console": "off", "disable_git": True, "x_disable_meta": True, "host": "-"} == given["settings"]


def test_wandb_is_told_no_step_twice(config: StageConfig, wandb: FakeWandb) -> None:
    there = online(config, mode="online")
    config.work.mkdir(parents=True)
    train_from(there, 1, 5)
    forget(config, 3)
    train_from(there, 4, 6)
    assert [step for step, _ in wandb.logged] == [1, 2, 3, 4, 5, 6]
    assert [given.get("resume") for given in wandb.opened] == [None, "allow"]
    assert wandb.opened[0]["id"] == wandb.opened[1]["id"]


def test_a_wandb_that_does_not_open_is_one_sentence(config: StageConfig, wandb: FakeWandb) -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("api_key not configured\nTraceback ...")

    wandb.init = refuse
    with pytest.raises(UserError, match=r"api_key not configured.*mode=offline"):
        Tracker(online(config))


def trace(licence: str) -> Any:
    return SimpleNamespace(dataset="mimic_iii", licence=licence, grades={"strict": SimpleNamespace(score=1.0)})


def test_samples_leave_only_when_asked_and_through_the_gate(config: StageConfig, wandb: FakeWandb, tmp_path: Path,
                                                            monkeypatch: pytest.MonkeyPatch,
                                                            capsys: pytest.CaptureFixture[str]) -> None:
    permissions = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(permissions))
    both = [trace("PhysioNet-credentialed"), trace("synthetic")]
    Tracker(online(config)).samples(1, both, ["secret", "open"])
    assert wandb.logged == []
    tracker = Tracker(online(config, samples=True))
    for step in (1, 2):
        tracker.samples(step, both, ["secret", "open"])
    assert wandb.logged == [(step, {"samples": ("table", [["mimic_iii", 1.0, "open"]])}) for step in (1, 2)]
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "exit: tracker" in said[0]
    permissions.write_text("- {dataset: mimic_iii, exit: tracker, allowed: true, who: J, date: 2026-01-01}\n")
    tracker.samples(3, both, ["secret", "open"])
    assert [row[2] for row in wandb.logged[-1][1]["samples"][1]] == ["secret", "open"]


def test_only_finite_numbers_are_drawn_and_only_numbers_describe_a_run(config: StageConfig) -> None:
    assert numbers({"step": 3, "a": 1, "b": True, "c": math.inf, "d": "x", "e": None}) == {"a": 1.0}
    flat = hyperparameters(config)
    assert flat["seed"] == 0
    assert not any(isinstance(value, str) for value in flat.values())
    assert json.dumps(flat)
