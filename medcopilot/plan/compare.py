"""Planned bytes beside measured ones, of a recipe at toy width: `medcopilot plan RECIPE --measure`.

Promises: the same functions count the toy that count the recipe, for the micro-batch that was really computed; one process on a
CPU, so attention and head are the ones of a CPU.
Does not cover: sharding, and what is no tensor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from env.errors import UserError
from medcopilot.plan import memory
from medcopilot.plan.measure import Measured, measured
from medcopilot.plan.recipe import Recipe
from medcopilot.plan.workload import workload

LIMIT = 0.2
"""Largest difference that counts as agreement."""


class Row(NamedTuple):
    """One part."""

    part: str
    planned: float
    measured: float

    @property
    def off(self) -> float:
        """Planned over measured, less 1."""
        return self.planned / self.measured - 1 if self.measured else float(bool(self.planned))


def runner(stage: str) -> Callable[[Any], Any]:
    """What trains a stage.

    Raises:
        UserError: the stage only samples, or is several trainings.
    """
    if stage == "sft":
        from medcopilot.train.sft import run_sft as run
    elif stage == "dpo":
        from medcopilot.train.dpo import run_dpo as run
    elif stage == "verifier":
        from medcopilot.verifier.train import run_verifier as run
    elif stage == "grpo":
        from medcopilot.rl.grpo import run_grpo as run
    elif stage == "ppo":
        from medcopilot.rl.ppo import run_ppo as run
    else:
        raise UserError(f"--measure: {stage} is no single training: name a recipe of sft, dpo, verifier, grpo or ppo")
    return run


def rows_of(recipe: Recipe, found: Measured) -> list[Row]:
    """The parts of a run on one process of a CPU. `recipe`: as it was run."""
    load = workload(recipe, "none", 1, cuda=False)
    batch = found.largest.batch
    if recipe.stage in ("sft", "verifier") and recipe.config.model.lora is None:
        batch = batch._replace(head=batch.head + -batch.head % 256)  # few shapes, as `compact_loss` has them
    roles = [role._replace(batch=batch if role.batch is not None else None) for role in load.roles]
    parts = memory.parts(roles, "none", 1)
    return [Row("weights", parts.weights + parts.reference, found.weights), Row("gradients", parts.gradients, found.gradients),
            Row("optimizer", parts.optimizer, found.optimizer), Row("activations", parts.activations, found.largest.saved)]


def toy_rows(recipe: Recipe) -> list[Row]:
    """Two steps of the recipe at toy width, and their parts."""
    from medcopilot.train.shrink import shrink

    run = runner(recipe.stage)
    config = shrink(recipe.config)
    return rows_of(recipe._replace(config=config), measured(config, run))


def table(rows: list[Row]) -> str:
    """For the terminal."""
    lines = [f"{'part':12} {'planned':>12} {'measured':>12} {'off':>7}"]
    lines += [f"{row.part:12} {row.planned:12,.0f} {row.measured:12,.0f} {row.off:+7.1%}" for row in rows]
    return "\n".join(lines)


def compare(recipe: Recipe) -> int:
    """Print the table. Returns the exit code: 1 when a part is off by more than a fifth."""
    rows = toy_rows(recipe)
    print(table(rows))
    worst = max(rows, key=lambda row: abs(row.off))
    if abs(worst.off) > LIMIT:
        print(f"{recipe.path}: {worst.part} is off by {worst.off:+.0%}", file=sys.stderr)
        return 1
    return 0
