"""A recipe of any kind, read without torch: its stage, its configuration, and the launch that its header names.

Promises: the stage is told from the file's name (`paper-sft.yaml`, `grpo-lora.yaml`) and checked by that stage's own keys; the
hardware and accelerate configuration of the header are the defaults of a plan (self-improvement says its own under `launch`).
Does not cover: whether data and checkpoints exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from env.errors import UserError
from medcopilot.plan.architecture import Architecture, known, read_folder
from medcopilot.plan.memory import Wrapper
from medcopilot.train.config import load_config

TRAINED = ("sft", "dpo", "verifier", "grpo", "ppo")
SAMPLED = ("sample", "eval", "leaderboard")
IMPROVE = "self-improve"
STAGES = (*TRAINED, *SAMPLED, IMPROVE)
WRAPPERS: dict[str, Wrapper] = {"single": "none", "ddp": "DDP", "zero2": "ZeRO-2", "zero3": "ZeRO-3", "fsdp2": "FSDP2"}
"""By the name of the accelerate configuration, the number of nodes left out."""
NANO_ENTRIES = 2048
"""Vocabulary of the demo's tokenizer, where the recipe's own is not there yet."""
_DEVICES = {"A100": "a100-80", "H100": "h100", "H200": "h200"}


class Recipe(NamedTuple):
    """One file."""

    path: Path
    stage: str
    config: Any
    launch: str
    """Key of `WRAPPERS` that the header names; `single` where it names none."""
    gpus: int
    gpu: str
    shape: tuple[Architecture, str] | None = None
    """Of the policy, and its name, where the file cannot tell: a step of self-improvement begins with the checkpoint of another."""


def class_of(stage: str) -> Any:
    """The configuration class of a stage."""
    if stage in ("sft", "dpo", "verifier"):
        from medcopilot.train import settings

        return {"sft": settings.SftConfig, "dpo": settings.DpoConfig, "verifier": settings.VerifierConfig}[stage]
    if stage == "grpo":
        from medcopilot.rl.grpo_settings import GrpoConfig

        return GrpoConfig
    if stage == "ppo":
        from medcopilot.rl.ppo_settings import PpoConfig

        return PpoConfig
    if stage == "leaderboard":
        from medcopilot.leaderboard.sweep import SweepConfig

        return SweepConfig
    if stage == IMPROVE:
        from medcopilot.improve import ImproveConfig

        return ImproveConfig
    from medcopilot.rollout.settings import SampleConfig

    return SampleConfig


def word_of(path: Path) -> str:
    """What a file's name says of its stage, be it one or not."""
    name = path.stem.removeprefix("paper-")
    return IMPROVE if f"{name}-".startswith(f"{IMPROVE}-") else name.split("-")[0]


def stage_of(path: Path) -> str:
    """From the file's name.

    Raises:
        UserError: no stage has such a name.
    """
    stage = word_of(path)
    if stage not in STAGES:
        raise UserError(f"{path}: the name says no stage: call it {', '.join(STAGES[:-1])} or {STAGES[-1]} (.yaml), with `paper-` "
                        "before or `-anything` behind it")
    return stage


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe with overrides applied.

    Raises:
        UserError: as `load_config`, or a file whose name says no stage.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: name a recipe, e.g. recipes/qwen2.5-7b/sft.yaml; `medcopilot recipes` "
                        "lists those that are there")
    stage = stage_of(path)
    config = load_config(class_of(stage), path, overrides)
    header = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    hardware = re.search(r"(\d+) x (?:(A100|H100|H200)|80 GB)", header)
    return Recipe(path, stage, config, _launch(" ".join(config.launch) if stage == IMPROVE else header, stage),
                  int(hardware[1]) if hardware else 1, _DEVICES.get(hardware[2] or "", "a100-80") if hardware else "a100-80")


def _launch(words: str, stage: str) -> str:
    """Key of `WRAPPERS` that a command line or header names."""
    named = re.search(r"accelerate_configs/([a-z0-9]+)[\w-]*\.yaml", words)
    if named and named[1] in WRAPPERS:
        return named[1]
    return "ddp" if stage == IMPROVE and words else "single"  # a launcher without a configuration of ours, e.g. torchrun


def device_of(name: str) -> str:
    """Key of `assumptions.GPUS` for a name as people and headers write it, e.g. `H100`, or the name in small letters."""
    return _DEVICES.get(name.upper(), name.lower())


def architecture_of(recipe: Recipe, checkpoint: str | None = None) -> tuple[Architecture, str]:
    """The architecture that the recipe trains or samples, and the name that it was found under.

    A folder that is there is read; a name of `architecture.KNOWN` is looked up; for the checkpoint of an earlier stage the recipe
    beside this one that writes it is followed.

    Args:
        checkpoint: another model of the recipe, e.g. a critic's; None: `model.checkpoint`.

    Raises:
        UserError: nothing of these.
    """
    model = getattr(recipe.config, "model", None)
    name = checkpoint or (model.checkpoint if model is not None else None)
    if checkpoint is None and recipe.shape is not None:
        return recipe.shape
    if name is None:
        assert model is not None
        return nano_shape(model), "random nano weights"
    if (Path(name) / "config.json").is_file():
        return read_folder(Path(name)), name
    seen: set[Path] = {recipe.path.resolve()}
    here = recipe
    while (found := known(Path(name).name if "checkpoints" in name else name)) is None:
        parent = writer_of(here.path.parent, name, seen)
        if parent is None:
            found = known(name)  # runs/qwen2.5-7b/checkpoints/...
            if found is None:
                raise UserError(f"{recipe.path}: the shape of {name!r} is not known: give --model with a folder that has its "
                                "config.json, or a name such as Qwen/Qwen2.5-7B-Instruct")
            return found, name
        seen.add(parent.path.resolve())
        here = parent
        if parent.config.model.checkpoint is None:
            return nano_shape(parent.config.model), "random nano weights"
        name = parent.config.model.checkpoint
    return found, name


def nano_shape(model: Any) -> Architecture:
    """Of random nano weights, by a recipe's `model` section."""
    shape = model.shape
    tokenizer = Path(model.tokenizer or "") / "tokenizer.json"
    entries = NANO_ENTRIES
    if model.tokenizer and tokenizer.is_file():
        import json

        body = json.loads(tokenizer.read_text(encoding="utf-8"))
        entries = len(set(body["model"]["vocab"].values()) | {token["id"] for token in body["added_tokens"]})
    return Architecture("qwen2", shape.hidden, shape.layers, shape.heads, shape.heads, shape.hidden // shape.heads,
                        shape.feed_forward, entries, True, shape.positions, True)


def writer_of(folder: Path, checkpoint: str, seen: set[Path]) -> Recipe | None:
    """The recipe of a folder that writes a checkpoint: of that run, or else of that name in another run."""
    wanted = Path(checkpoint)
    others = []
    for path in sorted(folder.glob("*.yaml")):
        if path.resolve() in seen or word_of(path) not in TRAINED:
            continue
        other = read_recipe(path)
        if other.config.checkpoint == wanted:
            return other
        if other.config.name == wanted.name:
            others.append(other)
    return others[0] if others else None
