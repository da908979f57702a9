"""The plan of a self-improvement recipe: each of its steps by itself, and their hours added up.

Promises: the steps are those that `recipes/self_improve.py --dry-run` prints, with the settings that they will have. Samplings play
on one GPU; trainings are spread as `launch` says, and are one process where it says nothing; an export that asks a verifier is a
forward pass over every episode on one GPU. Rows of a training are what its export keeps at most (`limit`, `per_task`), or the
paper's number where that is smaller; a data file that is there counts itself. Memory is that of the heaviest step.
Does not cover: what needs no GPU (data sets, other exports, comparisons), and the start of every command.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from env.errors import UserError
from medcopilot.improve import DpoTraining, ImproveConfig, Step, Training
from medcopilot.improve import Plan as Rounds
from medcopilot.plan import activations
from medcopilot.plan.activations import Batch, Numbers
from medcopilot.plan.architecture import Architecture
from medcopilot.plan.assumptions import Assumptions, gpu
from medcopilot.plan.calibration import Calibration
from medcopilot.plan.estimate import Hardware, Plan, plan
from medcopilot.plan.lengths import ROWS, SMALL, lengths_of
from medcopilot.plan.memory import Parts, Role
from medcopilot.plan.recipe import Recipe, architecture_of, class_of
from medcopilot.plan.sampling import ELSEWHERE, TASKS
from medcopilot.plan.speed import shape_of
from medcopilot.plan.workload import Workload
from medcopilot.rollout.settings import SampleConfig
from medcopilot.train.config import load_config
from medcopilot.verifier.prompt import MAX_TOKENS

SCORED = 16_384
"""Padded tokens of one forward pass of a verifier on a GPU (`verifier.score.BATCH_TOKENS`)."""


def improvement(recipe: Recipe, hardware: Hardware, assumed: Assumptions, *, calibration: Calibration | None = None,
                model: str | None = None, rows: int | None = None) -> Plan:
    """All steps on one kind of machine.

    Raises:
        UserError: a model whose shape is not known, a training's recipe that is not there, or `rows`, which several trainings have.
    """
    if rows is not None:
        raise UserError(f"{recipe.path}: --rows is of one training, and here are several: set sft.export.limit and "
                        "dpo.export.limit")
    config: ImproveConfig = recipe.config
    policy = architecture_of(recipe, model or str(config.start))
    alone = Hardware(hardware.gpu, 1, "single")
    spread = hardware if config.launch else alone
    found: list[tuple[str, Plan]] = []
    notes: list[str] = []
    if spread != hardware:
        notes.append("training: `launch` is empty here, so that each training is one process on one GPU, whatever --gpus says; for "
                     "more, e.g. launch='[accelerate, launch, --config_file, accelerate_configs/zero3.yaml]'")
    elif hardware.gpus > 1:
        notes.append(f"samplings and verifiers have one GPU: the other {hardware.gpus - 1} wait for them")
    played: SampleConfig | None = None
    for step in Rounds(config).steps():
        if step.file is not None:
            played = SampleConfig.model_validate(yaml.safe_load(step.text))
            if played.policy.startswith(ELSEWHERE):
                notes.append("sampling: the servers of `policy` and their time are not planned here")
                continue
            one = Recipe(recipe.path, "sample", played, "single", 1, hardware.gpu, policy)
            found.append((step.name, plan(one, alone, assumed, calibration=calibration)))
        elif step.name.endswith("-export") and "--verifier" in step.words and isinstance(played, SampleConfig):
            found.append((step.name, _scoring(recipe, played, alone, assumed)))
        elif step.name.endswith("-train") and isinstance(played, SampleConfig):
            one, count = _training(recipe, step, played, policy)
            found.append((step.name, plan(one, spread, assumed, calibration=calibration, rows=count)))
    return _whole(recipe, spread, found, notes)


def _training(recipe: Recipe, step: Step, played: SampleConfig, policy: tuple[Architecture, str]) -> tuple[Recipe, int | None]:
    """The recipe that a step runs, with the round's settings, and how many rows it will have; None: they are there already."""
    stage = step.name.split("-")[0]
    file, *overrides = step.words[step.words.index("--config") + 1 :]
    config = load_config(class_of(stage), file, overrides)
    one = Recipe(Path(file), stage, config, recipe.launch, recipe.gpus, recipe.gpu, policy)
    if Path(config.data).is_file():
        return one, None
    training: Training = getattr(recipe.config, stage)
    options: Any = training.export  # type: ignore[attr-defined]
    tasks = len(played.datasets) * (played.tasks_per_dataset or TASKS)
    return one, min(options.limit or ROWS[stage], tasks * min(options.per_task or played.samples, played.samples))


def _scoring(recipe: Recipe, played: SampleConfig, hardware: Hardware, assumed: Assumptions) -> Plan:
    """A verifier that reads every episode once, as `verifier.score` does: bfloat16, nothing is generated."""
    dpo: DpoTraining = recipe.config.dpo
    arch, name = architecture_of(recipe, str(dpo.verifier))
    lengths = lengths_of(recipe, arch, assumed)
    episodes = len(played.datasets) * (played.tasks_per_dataset or TASKS) * played.samples
    longest = MAX_TOKENS["nano" if arch.parameters() < SMALL else "full"]
    tokens = episodes * min(lengths.mean, longest)
    device, numbers = gpu(hardware.gpu), Numbers(2, False, "none")
    shape = shape_of(Role("policy", arch, numbers))
    hours = shape.forward(tokens, 0.0, episodes * lengths.square(longest)) / (device.flops * assumed.prefill) / 3600
    held = float(2 * arch.parameters())
    working = float(activations.layer(arch, Batch(1, SCORED, 0), numbers) + 2 * SCORED * arch.hidden * 2)
    parts = Parts(*[0.0] * 7)._replace(weights=held, working=working)
    parts = parts._replace(reserve=assumed.context + assumed.fragments * parts.tensors)
    load = Workload(arch, name, [], None, None, None, lengths._replace(rows=episodes), context=longest)
    problems = (f"the verifier needs {parts.total / 2**30:.1f} GiB",) if parts.total > device.memory else ()
    return Plan(recipe, hardware, 1, 0, load, parts, device.memory, problems, None, None, hours, None, False, assumed.spread)


def _whole(recipe: Recipe, hardware: Hardware, found: list[tuple[str, Plan]], notes: list[str]) -> Plan:
    """One plan of many: the heaviest step's, with the hours of all."""
    _, heaviest = max(found, key=lambda item: (bool(item[1].problems), item[1].parts.total))
    hours = [one.hours for _, one in found if one.hours is not None]
    said = list(dict.fromkeys([*notes, *(note for _, one in found for note in one.load.notes)]))
    problems = dict.fromkeys(f"{_kind(name)}: {problem}" for name, one in found for problem in one.problems)
    return heaviest._replace(
        recipe=recipe, hardware=hardware, load=heaviest.load._replace(notes=tuple(said)), problems=tuple(problems), seconds=None,
        steps=None, before=0.0, hours=math.fsum(hours) if len(hours) == len(found) else None,
        calibrated=all(one.calibrated for _, one in found), spread=max(one.spread for _, one in found), commands=tuple(found))


def _kind(name: str) -> str:
    """A step's name without its round: `sft-2-train` is like `sft-1-train`."""
    return "-".join(word for word in name.split("-") if not word.isdigit())


def kinds(found: Plan) -> Iterator[tuple[str, int, Plan, float | None]]:
    """The steps of self-improvement by kind: its name, how often, one plan of them, the hours of all of them."""
    by_kind: dict[str, list[Plan]] = {}
    for name, one in found.commands:
        by_kind.setdefault("eval" if name.startswith("eval") else _kind(name), []).append(one)
    for kind, plans in by_kind.items():
        hours = [one.hours for one in plans if one.hours is not None]
        yield kind, len(plans), max(plans, key=lambda one: one.parts.total), math.fsum(hours) if len(hours) == len(plans) else None
