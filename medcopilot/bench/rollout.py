"""`medcopilot bench rollout`: three ratios that say what the rollout engine is worth, each measured in one run on this machine.

Promises: `engine_utilisation` (and `..._200ms`), `speedup_vs_trl_tool_loop`, `speedup_one_step_ahead`, with the figures behind
them, the settings, and the machine before and after. What each compares, and what it holds equal: `rollout_utilisation`,
`rollout_trl`, `rollout_ahead`. About seven minutes on two quiet cores; on a machine that does other work the ratios say little.
Does not cover: packing (`packing`), boxes (`sandbox`), GPUs.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

from medcopilot.bench import rollout_ahead, rollout_trl, rollout_utilisation
from medcopilot.bench.plan import Plan
from medcopilot.bench.workload import EngineKind, Workload, machine, make_policy_parts

AIMS = {"engine_utilisation": 0.90, "engine_utilisation_200ms": 0.85, "speedup_vs_trl_tool_loop": 2.0,
        "speedup_one_step_ahead": 1.3, "packing_speedup": 1.3}
"""What each ratio is to reach. Shown beside what was measured, never asserted."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    episodes: int = 256
    """For the utilisation; half as many for TRL's tool loop."""
    rounds: int = 3
    """Of the three arms of the utilisation."""
    groups: int = 10
    """Of eight rollouts, in a step of GRPO."""
    steps: int = 5
    """Of GRPO in each turn of a mode, beside those that do not count."""
    turns: int = 2
    """Of each mode."""


def measure(sizes: Sizes | None = None, workload: Workload | None = None, *, engine: EngineKind = "transformers",
            say: Callable[[str], object] = lambda _: None) -> dict[str, Any]:
    """Everything, as one document.

    Args:
        engine: of the utilisation; the other ratios are measured on the transformers engine.
        say: gets lines of progress.
    """
    sizes, workload = sizes or Sizes(), workload or Workload()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    compared = max(2, sizes.episodes // 4 * 2)
    plan = Plan({**rollout_utilisation.expected(sizes.episodes, sizes.rounds), **rollout_trl.expected(compared),
                 **rollout_ahead.expected(sizes.groups, sizes.steps, sizes.turns)}, say)
    before = machine()
    model, tokenizer = make_policy_parts(workload)
    document = rollout_utilisation.measure(workload, model, tokenizer, episodes=sizes.episodes, rounds=sizes.rounds, engine=engine,
                                           plan=plan)
    document.update(rollout_trl.measure(workload, model, tokenizer, episodes=compared, plan=plan))
    document.update(rollout_ahead.measure(workload, model, tokenizer, groups=sizes.groups, steps=sizes.steps, turns=sizes.turns,
                                          plan=plan))
    document["rollout_settings"] = {
        **dataclasses.asdict(sizes), "turns_per_episode": workload.turns, "tokens_per_turn": workload.turn_tokens,
        "shape": workload.shape.model_dump(), "vocabulary": len(tokenizer), "engine": engine, "dtype": "float32",
        "switch_ms": 1000 * sys.getswitchinterval(), "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "in_flight": rollout_utilisation.IN_FLIGHT, "in_flight_200ms": rollout_utilisation.IN_FLIGHT_SLOW}
    document["machine"] = {**before, "load_after": round(os.getloadavg()[0], 2)}
    return document
