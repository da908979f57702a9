"""Resumable states of two CPU processes, put together for publishing, are the weights that the stage itself ends with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from launches import STAGES, command, finish, make_workshop, run_here
from safetensors.torch import load_file

from medcopilot.publish.model_folder import ModelOptions, stage_model
from medcopilot.publish.shards import form_of
from medcopilot.publish.source import settle
from medcopilot.train.model import checkpoint_digest
from medcopilot.train.provenance import own_record

pytestmark = pytest.mark.slow
KEEP = """import shutil
from medcopilot.train import loop
whole = loop.finish
def finish(trainer, tokenizer, config, meta):
    if trainer.is_world_process_zero():
        shutil.copytree(config.work, config.work.with_name("kept"))
    whole(trainer, tokenizer, config, meta)
loop.finish = finish
"""
"""Before a recipe: what a run leaves when it is cut off after its last step."""
ADAMW = ("optimizer.name=adamw",)
PERMIT = "- {{dataset: {name}, exit: hub, allowed: true, who: Jane Doe, date: 2026-11-03}}\n"
CASES = [("fsdp2", "sft", True, "fsdp"), ("zero3", "ppo", False, "zero"),
         *(pytest.param(*case, marks=pytest.mark.thorough) for case in (
             ("zero3", "sft", True, "zero"), ("zero3", "sft", False, "zero"), ("zero2", "sft", False, "zero"),
             ("fsdp2", "sft", False, "fsdp"), ("fsdp2", "ppo", False, "fsdp"), ("zero3", "ppo", True, "zero"),
             ("fsdp2", "grpo", True, "fsdp"), ("ddp", "ppo", False, "torch"), ("ddp", "sft", True, "adapter")))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("publish")
    make_workshop(made)
    return made


def kept(folder: Path, config: str | None, stage: str, lora: bool) -> tuple[Path, Path]:
    """The finished checkpoint of a run, and the folder of its resumable states as they were just before."""
    name = f"{config}-{stage}{'-lora' if lora else ''}"
    script = folder / f"{stage}.py"
    script.write_text(f"{KEEP}exec(open('recipes/{stage}.py').read())\n")
    overrides = list(ADAMW if stage == "sft" else ())
    if lora:
        overrides.append("model.lora.rank=4")
        overrides += ["model.tokenizer=null", f"model.checkpoint={folder}/start"] if stage == "sft" else []
        overrides += ["critic.lora.rank=4"] if stage == "ppo" else []
    words = command(folder, stage, name, config, *overrides, "save_steps=3", script=script)
    if config is None:
        run_here(words)
    else:
        finish(words, folder / f"{name}.log")
    checkpoints = folder / name / "checkpoints"
    return checkpoints / stage, checkpoints / "kept"


@pytest.mark.parametrize(("config", "stage", "lora", "form"), CASES)
def test_shards_become_the_weights_of_the_finished_stage(folder: Path, tmp_path: Path, monkeypatch, config: str, stage: str,
                                                         lora: bool, form: str) -> None:
    if config.startswith("zero") and importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed: run .ci/setup")
    assert stage in STAGES
    finished, states = kept(folder, config, stage, lora)
    state = settle(states)
    assert form_of(state) == form
    permissions = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(permissions))
    # the workshop's rows carry no tags and its start no record: somebody answers for them
    from medcopilot.publish.source import origin

    record, digest = origin(state)
    assert record is not None
    assert record.seen[0].stage == stage
    permissions.write_text(PERMIT.format(name=f"checkpoint-{digest}"))
    told: list[str] = []
    stage_model(states, tmp_path / "out", ModelOptions(name="agent", vllm=False), told.append)
    assert "transformers" in told[0]
    made, wanted = load_file(tmp_path / "out" / "model.safetensors"), load_file(finished / "model.safetensors")
    assert made.keys() == wanted.keys()
    assert all(made[name].dtype == wanted[name].dtype for name in made)
    assert max(float((made[name] - wanted[name]).abs().max()) for name in made) <= (1e-6 if lora else 0.0)
    assert any(not torch.equal(wanted[name], start) for name, start in load_file(folder / "start" / "model.safetensors").items())
    sealed = own_record(finished)
    assert sealed is not None
    assert sealed.checkpoint == checkpoint_digest(finished)
    assert sealed.seen == record.seen
