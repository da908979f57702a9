"""Recipes that only sample: `medcopilot sample --config`, and a leaderboard's entries.

Promises: one engine on one GPU, with the share of its memory that vLLM takes by itself, because that is what `medcopilot sample`
starts, whatever else the machine has (`idle` says so). Processes of joblib or Ray (`workers`) each load an engine of their own, and
nobody gives them a GPU of their own: a plan with several vLLM engines on the GPU is one that does not fit. A folder without `vllm:`
is played by transformers on the CPU: its plan has neither a GPU's memory nor hours, and says how a GPU would play it.
Does not cover: endpoints and servers (`openai:`, `served:`), whose memory is not ours: the plan says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.plan.architecture import Architecture, known, read_folder
from medcopilot.plan.assumptions import Assumptions
from medcopilot.plan.lengths import CONTEXT, lengths_of
from medcopilot.plan.recipe import Recipe, architecture_of, writer_of
from medcopilot.plan.workload import Engine, Rollouts, Workload

TASKS = 500
"""Of a dataset, where a recipe takes all of them; the twins have 3 to 19,000."""
SHARE = 0.9
"""vLLM's own default of `gpu_memory_utilization`."""
ELSEWHERE = ("openai:", "served:")
"""What policies begin with that play on servers."""
ON_CPU = ("sampling: a folder without `vllm:` is played by transformers on the CPU, in float32: it uses no GPU, and its hours are "
          "not planned; for an engine on the GPU write vllm:FOLDER")
"""What is said where a policy is a folder alone."""


def idle(gpus: int) -> tuple[str, ...]:
    """What is said of a machine with so many GPUs."""
    if gpus == 1:
        return ()
    return (f"sampling: `medcopilot sample` has one engine on one GPU, whatever --gpus says: the other {gpus - 1} stay idle; to "
            "use all, run `medcopilot serve` on each and sample from served:FOLDER@URL,URL,...",)


def _configs(recipe: Recipe) -> list[Any]:
    if recipe.stage != "leaderboard":
        return [recipe.config]
    return [recipe.config.sampling(entry) for entry in recipe.config.entries if entry.policy]


def sampling_workload(recipe: Recipe, assumed: Assumptions, model: str | None) -> Workload:
    """Episodes of all entries that vLLM plays, by the first model of them; without any, what is there plays on the CPU.

    Raises:
        UserError: no entry samples a model of ours.
    """
    configs = _configs(recipe)
    ours = [config for config in configs if not config.policy.startswith(ELSEWHERE) and config.policy != "expert"]
    if not ours:
        raise UserError(f"{recipe.path}: only servers, endpoints and the scripted expert play here: there is nothing to plan for a "
                        "GPU")
    quick = [config for config in ours if config.policy.startswith("vllm:")]
    notes = (ON_CPU,) if len(quick) < len(ours) else ()
    ours = quick or ours
    first = ours[0]
    name = model or first.policy.removeprefix("vllm:").removeprefix("transformers:")
    arch = _shape(recipe, name) if model is None else _shape(recipe._replace(shape=None), name)
    lengths = lengths_of(recipe, arch, assumed)
    episodes = sum(len(config.datasets) * (config.tasks_per_dataset or TASKS) * config.samples for config in ours)
    if not quick:
        return Workload(arch, name, [], None, 1.0, first.max_seconds, lengths._replace(rows=episodes),
                        context=min(CONTEXT, arch.context), notes=notes)
    copies = 1 if first.backend == "local" else first.workers
    engine = Engine("vllm", SHARE, min(CONTEXT, arch.context), first.concurrency, 2, copies)
    return Workload(arch, name, [], None, 1.0, first.max_seconds, lengths._replace(rows=episodes), engine,
                    Rollouts(episodes, 1, first.concurrency, False), engine.context, notes)


def _shape(recipe: Recipe, name: str) -> Architecture:
    if recipe.shape is not None:
        return recipe.shape[0]
    if (Path(name) / "config.json").is_file():
        return read_folder(Path(name))
    writer = writer_of(recipe.path.parent, name, {recipe.path.resolve()})
    if writer is not None:
        return architecture_of(writer)[0]
    found = known(name)
    if found is None:
        raise UserError(f"{recipe.path}: the shape of {name!r} is not known: give --model with a folder that has its config.json")
    return found
