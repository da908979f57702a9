"""What would fit, when a recipe does not: small changes first.

Promises: every suggestion is a set of changes that the recipe's own class accepts and that the planner finds to fit; those that
change what is learnt cost more than those that change how; no suggestion holds another one.
Does not cover: rates that should change with it (an adapter wants a higher one); for self-improvement, anything but hardware.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from env.errors import UserError
from medcopilot.plan.architecture import known
from medcopilot.plan.assumptions import ASSUMED, Assumptions
from medcopilot.plan.calibration import Calibration
from medcopilot.plan.estimate import Hardware, Plan, plan
from medcopilot.plan.recipe import read_recipe

MOST = 3
"""Changes at once."""


class Change(NamedTuple):
    """One thing to do differently."""

    text: str
    kind: str
    """Changes of one kind exclude each other."""
    cost: int
    """1: how it is computed; 2: how it is spread; 3 and 4: other hardware; from 5 on: what is learnt."""
    overrides: tuple[str, ...] = ()
    launch: str | None = None
    gpus: int | None = None
    gpu: str | None = None


class Suggestion(NamedTuple):
    """Changes that together fit, and the plan with them."""

    changes: tuple[Change, ...]
    plan: Plan

    @property
    def cost(self) -> int:
        return sum(change.cost for change in self.changes)

    def __str__(self) -> str:
        return ", ".join(change.text for change in self.changes)


def _set(kind: str, cost: int, *overrides: str) -> Change:
    return Change(" ".join(overrides), kind, cost, overrides)


def _changes(found: Plan) -> list[Change]:
    """All that could be changed about a recipe's run."""
    recipe, hardware, config = found.recipe, found.hardware, found.recipe.config
    changes = []
    trained = any(one.load.roles for _, one in found.commands) if found.commands else bool(found.load.roles)
    if hardware.gpus > 1 and trained:
        changes += [Change(f"--launch {name} (accelerate_configs/{name}.yaml)", "launch", 2, launch=name)
                    for name in ("zero3", "fsdp2") if name != hardware.launch]
    alone = hardware.gpus == 1 and trained
    changes += [Change(f"--gpus {count}" + alone * " --launch zero3", "gpus", 3 + (count > 2 * hardware.gpus), gpus=count,
                       launch="zero3" if alone else None)
                for count in (2 * hardware.gpus, 4 * hardware.gpus, 8) if count > hardware.gpus and trained]
    if 0 < found.servers < found.world:
        changes.append(Change(f"--gpus {2 * found.servers}", "gpus", 3, gpus=2 * found.servers))
    if hardware.gpu != "h200":
        changes.append(Change("--gpu h200", "gpu", 4, gpu="h200"))
    if found.commands or not found.load.roles:
        return changes
    if not config.model.gradient_checkpointing:
        changes.append(_set("checkpointing", 1, "model.gradient_checkpointing=true"))
    changes += _online(config, found) if found.load.rollouts is not None else _on_rows(recipe.stage, config, found)
    if config.model.lora is None:
        also = ("critic.lora={rank: 32, alpha: 64}",) if recipe.stage == "ppo" else ()
        changes.append(_set("lora", 6, "model.lora={rank: 32, alpha: 64}", *also))
    return changes


def _on_rows(stage: str, config: Any, found: Plan) -> list[Change]:
    changes = []
    if stage == "dpo" and config.batch_pairs > 1:
        changes.append(_set("micro-batch", 1, "batch_pairs=1", f"accumulation={config.accumulation * config.batch_pairs}"))
    if stage != "dpo" and (config.batch_rows or 2) > 1 and config.batch_tokens > found.load.context:
        times = -(-config.batch_tokens // found.load.context)
        changes.append(_set("micro-batch", 1, f"batch_tokens={found.load.context}", f"accumulation={config.accumulation * times}"))
    for parts in (2, 4):
        length = found.load.context // parts
        lines = () if stage == "dpo" or config.batch_rows or config.batch_tokens <= length else (
            f"batch_tokens={length}", f"accumulation={config.accumulation * -(-config.batch_tokens // length)}")
        changes.append(_set("length", 4 + parts // 2, f"max_length={length}", *lines))
    return changes


def _online(config: Any, found: Plan) -> list[Change]:
    changes = []
    batch = found.load.roles[0].batch
    if batch is not None and batch.rows > 1:
        changes.append(_set("micro-batch", 1, f"micro_batches={config.micro_batches * batch.rows}"))
    if config.engine.kind == "vllm":
        share = found.load.engine.share if found.load.engine is not None else 0.9
        changes += [_set("share", 1, f"engine.options.gpu_memory_utilization={lower:g}") for lower in (0.35, 0.3, 0.25, 0.2)
                    if lower < share]
        changes.append(_set("length", 5, f"engine.options.max_model_len={found.load.context // 2}"))
    if config.loss.kl:
        changes.append(_set("reference", 5, "loss.kl=0"))
    return changes


def suggestions(found: Plan, assumed: Assumptions = ASSUMED, *, calibration: Calibration | None = None,
                overrides: tuple[str, ...] = (), most: int = 4) -> list[Suggestion]:
    """The cheapest sets of changes that fit, the cheapest first.

    Args:
        overrides: with which the recipe was read.
        most: suggestions wanted.
    """
    every = _changes(found)
    sets = [chosen for size in range(1, MOST + 1) for chosen in combinations(every, size)
            if len({change.kind for change in chosen}) == size]
    sets.sort(key=lambda chosen: (sum(change.cost for change in chosen), len(chosen)))
    kept: list[Suggestion] = []
    for chosen in sets:
        kinds = {change.kind for change in chosen}
        if any({change.kind for change in other.changes} <= kinds for other in kept):
            continue
        tried = _try(found, chosen, assumed, calibration, overrides)
        if tried is not None and tried.fits:
            kept.append(Suggestion(chosen, tried))
            if len(kept) == most:
                break
    return kept


def _try(found: Plan, chosen: tuple[Change, ...], assumed: Assumptions, calibration: Calibration | None, overrides: tuple[str, ...]
         ) -> Plan | None:
    """The plan with these changes, None where the recipe does not take them."""
    launch, gpus, name = found.hardware.launch, found.hardware.gpus, found.hardware.gpu
    for change in chosen:
        gpus, name = change.gpus or gpus, change.gpu or name
        launch = change.launch or launch
    model = found.load.model
    model_known = model if known(model) or (Path(model) / "config.json").is_file() else None
    try:
        recipe = read_recipe(found.recipe.path, (*overrides, *(text for change in chosen for text in change.overrides)))
        return plan(recipe, Hardware(name, gpus, launch), assumed, calibration=calibration, model=model_known,
                    rows=None if found.commands else int(found.load.lengths.rows) or None)
    except UserError:
        return None
