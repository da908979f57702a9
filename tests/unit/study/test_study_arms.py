"""The two arms of the study differ in how they learn, and in nothing that would favour one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medcopilot import steps
from medcopilot.demo import SCALES, Demo
from medcopilot.rl.grpo import GrpoConfig
from medcopilot.studies import nano as study
from medcopilot.train.config import load_config
from medcopilot.train.settings import SftConfig


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, tuple[str, ...]]]:
    """What the study would train: recipe, threads, overrides."""
    calls: list[tuple[str, int, tuple[str, ...]]] = []
    monkeypatch.setattr(steps, "recipe", lambda stage, threads, *overrides: calls.append((stage, threads, overrides)))
    return calls


def resolved(stage: str, overrides: tuple[str, ...]) -> Any:
    return load_config({"sft": SftConfig, "grpo": GrpoConfig}[stage], steps.ROOT / "recipes" / "nano" / f"{stage}.yaml", overrides)


def test_both_arms_start_alike_and_end_by_the_clock_alone(tmp_path: Path, asked: list[tuple[str, int, tuple[str, ...]]]) -> None:
    design = study.Design()
    one = study.NanoStudy(tmp_path, design, 2, tmp_path / "results", False)
    one.grpo("sft-6000", 1)
    one.control("sft-6000", 1)
    (_, threads, _), (_, same_threads, _) = asked
    grpo, control = (resolved(stage, overrides) for stage, _, overrides in asked)
    assert threads == same_threads
    for arm in (grpo, control):
        assert (arm.max_seconds, arm.max_steps) == (design.seconds, None)
        assert Path(arm.model.checkpoint) == tmp_path / "checkpoints" / "sft-6000"
    assert getattr(control, "epochs", None) is None
    assert Path(control.data) == tmp_path / "data" / "sft.jsonl"
    assert grpo.builds == one.builds


def test_seeds_reach_both_arms(tmp_path: Path, asked: list[tuple[str, int, tuple[str, ...]]]) -> None:
    one = study.NanoStudy(tmp_path, study.Design(), 2, tmp_path / "results", False)
    for seed in (0, 1, 2):
        one.grpo("sft-6000", seed)
        one.control("sft-6000", seed)
    seeds = [(stage, resolved(stage, overrides).seed) for stage, _, overrides in asked]
    assert len(set(seeds)) == len(seeds) == 6


def test_demo_study_and_nano_recipe_keep_to_the_core_templates(tmp_path: Path) -> None:
    builds = study.NanoStudy(tmp_path, study.Design(), 2, tmp_path / "results", False).builds
    assert builds["mimic_iii"].options == {"templates": "core"}
    assert builds["medcalcbench"].options == {"calculators": "core"}
    assert Demo(tmp_path, SCALES["tiny"], 0, 1).builds["mimic_iii"].options == {"templates": "core"}
    assert resolved("grpo", ()).builds["mimic_iii"].options == {"templates": "core"}
