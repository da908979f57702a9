"""A plan as JSON and as tables for the terminal.

Promises: what is assumed and not measured is said beside the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medcopilot.plan.assumptions import GIB, Assumptions
from medcopilot.plan.estimate import Plan, nodes
from medcopilot.plan.lengths import SMALL
from medcopilot.plan.recipe import WRAPPERS
from medcopilot.plan.search import Suggestion

LABELS = {"weights": "weights", "reference": "reference model", "gradients": "gradients", "optimizer": "optimiser states",
          "activations": "saved activations", "working": "working memory", "communication": "communication buffers",
          "engine_weights": "engine: weights", "engine_cache": "engine: cache and its own memory",
          "reserve": "contexts and fragments"}


def document(found: Plan, assumed: Assumptions, offers: Sequence[Suggestion] = ()) -> dict[str, Any]:
    """Plain data. Bytes, seconds, hours."""
    load = found.load
    return {
        "recipe": str(found.recipe.path), "stage": found.recipe.stage, "model": load.model,
        "hardware": {**found.hardware._asdict(), "nodes": nodes(found.hardware), "train_on": found.world,
                     "generate_on": found.servers, "wrapper": WRAPPERS[found.hardware.launch]},
        "parameters": {role.name: {"all": role.whole + role.adapter + role.extra, "trained": role.trained + role.extra
                                   if role.numbers.trained != "none" else 0} for role in load.roles},
        "largest_micro_batch": load.roles[0].batch._asdict() if load.roles and load.roles[0].batch else None,
        "bytes": {**found.parts._asdict(), "total": found.parts.total, "of": found.capacity},
        "fits": found.fits, "problems": list(found.problems),
        "steps": found.steps,
        "seconds_per_step": {**found.seconds._asdict(), "step": found.seconds.step} if found.seconds else None,
        "hours": found.hours, "hours_range": [found.hours / found.spread, found.hours * found.spread] if found.hours else None,
        "hours_before_first_step": found.before,
        "engine_sequences": found.sequences, "lengths": load.lengths._asdict(), "calibrated": found.calibrated,
        "assumptions": assumed._asdict(), "notes": list(load.notes),
        "commands": [{"name": name, "stage": one.recipe.stage, "model": one.load.model, "hardware": one.hardware._asdict(),
                      "rows": one.load.lengths.rows, "total_bytes": one.parts.total, "problems": list(one.problems),
                      "hours": one.hours} for name, one in found.commands],
        "would_fit": [{"changes": [change.text for change in one.changes], "total_bytes": one.plan.parts.total,
                       "hours": one.plan.hours} for one in offers]}


def tell(found: Plan, assumed: Assumptions, offers: Sequence[Suggestion] = ()) -> None:
    """Print it."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    hardware = found.hardware
    if found.commands:
        _tell_commands(console, found)
    where = f"{hardware.gpus} x {hardware.gpu}, {WRAPPERS[hardware.launch] if hardware.launch != 'single' else 'one process'}"
    servers = f" on {found.world}, engines on {found.servers}" if found.servers else ""
    console.print(f"{found.recipe.path}: {found.load.model}, {where}{servers}", markup=False)
    whose = " (the heaviest step)" if found.commands else ""
    table = Table(f"memory per GPU{whose}", "GiB", box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.columns[1].justify = "right"
    for name, size in found.parts._asdict().items():
        if size:
            table.add_row(LABELS[name], f"{size / GIB:.1f}")
    table.add_row("total", f"{found.parts.total / GIB:.1f}", style="bold")
    table.add_row("of", f"{found.capacity / GIB:.1f}")
    console.print(table)
    for line in _lines(found, assumed):
        console.print(line, markup=False)
    if found.fits:
        console.print(f"fits: {(found.capacity - found.parts.total) / GIB:.1f} GiB left", style="bold")
        return
    console.print(f"does not fit: {'; '.join(found.problems)}", style="bold", markup=False)
    for one in offers:
        time = f", {one.plan.hours:.1f} h" if one.plan.hours else ""
        console.print(f"  would fit: {one} ({one.plan.parts.total / GIB:.1f} GiB{time})", markup=False)
    if not offers:
        console.print("  no three changes that the planner knows make it fit")


def _tell_commands(console: Any, found: Plan) -> None:
    """A row for each kind of step of self-improvement."""
    from rich.table import Table

    from medcopilot.plan.improvement import kinds

    table = Table("step", "times", "GPUs", "rows", "GiB per GPU", "hours in all", box=None, padding=(0, 2, 0, 0),
                  header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, times, one, hours in kinds(found):
        table.add_row(kind, str(times), str(one.hardware.gpus), f"{one.load.lengths.rows:,.0f}", f"{one.parts.total / GIB:.1f}",
                      "unknown" if hours is None else f"{hours:.1f}")
    console.print(table)


def hours_text(found: Plan) -> str:
    """The range of hours as it stands in a recipe's header, e.g. `1.2 to 2.7`."""
    if found.hours is None:
        return "unknown"
    low, high = found.hours / found.spread, found.hours * found.spread
    return f"{low:.0f} to {high:.0f}" if high >= 10 else f"{low:.1f} to {high:.1f}"


def _lines(found: Plan, assumed: Assumptions) -> list[str]:
    """Steps, time, and what these rest on."""
    lines = []
    load = found.load
    if load.roles and load.roles[0].batch is not None:
        batch = load.roles[0].batch
        lines.append(f"largest micro-batch: {batch.rows} x {batch.width:,} tokens")
    if found.seconds is not None:
        one = found.seconds
        parts = [f"update {one.update:.1f}"]
        parts += [f"passes before it {one.evaluate:.1f}"] if one.evaluate else []
        parts += [f"rollouts {one.generate:.1f} (waiting for the environment adds {one.environment:.1f})"] if one.generate else []
        lines.append(f"step: {one.step:.1f} s ({', '.join(parts)})")
    if found.hours is not None:
        steps = f"{found.steps:,.0f} steps, " if found.seconds is not None and found.steps is not None else ""
        first = f", {found.before:.2g} of them before the first step" if found.before else ""
        lines.append(f"time: {steps}{found.hours:.1f} hours ({hours_text(found)}){first}")
    if load.rollouts is not None and found.sequences is not None:
        lines.append(f"engine: room for {int(found.sequences)} sequences of {load.engine.context if load.engine else 0:,} tokens")
    if load.lengths.source == "assumed":
        rows = f"{load.lengths.rows:,.0f} rows, " if load.lengths.rows and not found.commands else ""
        lines.append(f"assumed: {rows}{load.lengths.mean:,.0f} tokens a trajectory ({load.lengths.scored:.0%} sampled), "
                     f"{load.lengths.turns:g} turns")
    lines.append("speed: measured on this GPU" if found.calibrated else
                 "speed: assumed, not measured (medcopilot/plan/assumptions.py); see --calibration")
    if load.arch.parameters() < SMALL:
        lines.append("a model for CPUs: what a GPU would take says little")
    return [*lines, *load.notes]
