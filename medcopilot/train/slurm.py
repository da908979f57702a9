"""What a Slurm job has to know of the recipe that it trains; `slurm/train.sbatch` calls this.

    python -m medcopilot.train.slurm launch STAGE RECIPE NODES [key=value ...]
    python -m medcopilot.train.slurm servers STAGE RECIPE URL,URL,... SYNC [key=value ...]

Promises: `launch` prints the accelerate configuration (`ACCELERATE`, or what the header names, that for several nodes where there
are several), and how many seconds the launcher must leave its processes after a signal; `servers` the overrides with which
the recipe trains on such servers, an empty line, and the words of `medcopilot serve` for its rollouts. One per line; bad input is
one sentence and exit code 2, and overrides that are printed are accepted.
Does not cover: how many nodes, ranks, GPUs and servers there are: the job counts them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.plan.recipe import TRAINED, class_of
from medcopilot.rl.settings import OnlineConfig
from medcopilot.train.config import StageConfig, load_config

CONFIGS = Path("accelerate_configs")
SLACK_SECONDS = 60
"""What the launcher leaves its processes beyond `grace_seconds`, to end by themselves."""
OF_A_SHARED_GPU = frozenset({"gpu_memory_utilization"})
"""Options of an engine beside a trainer that mean nothing to a server with a GPU of its own."""


def configuration(recipe: Path, nodes: int) -> Path:
    """The accelerate configuration for several processes: what the header names. A recipe that fits one GPU names none or `single`:
    then DDP, under which every GPU holds it whole.

    Raises:
        UserError: there is no such file.
    """
    header = "\n".join(line for line in recipe.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    named = re.search(r"accelerate_configs/([\w-]+?)(?:-2nodes)?\.yaml", header)
    name = named[1] if named and named[1] != "single" else "ddp"
    choices = [*([CONFIGS / f"{name}-2nodes.yaml"] if nodes > 1 else []), CONFIGS / f"{name}.yaml"]
    found = next((path for path in choices if path.is_file()), None)
    if found is None:
        raise UserError(f"{recipe}: its header names {choices[-1]}, which is not there: name another in ACCELERATE")
    return found


def server_words(config: Any, options: dict[str, Any]) -> list[str]:
    """The words after `medcopilot serve`, for a run on servers: the checkpoint first.

    Args:
        config: as it will be trained, with `engine.kind: vllm_server`.
        options: of the vLLM engine that the recipe has without servers; become flags.
    """
    sync = config.engine.servers.sync
    words = [str(config.model.checkpoint), "--dtype", config.engine.dtype, "--weight-sync", sync]
    if sync == "lora":
        words += ["--lora-rank", str(config.model.lora.rank)]
    return [*words, "--", *(word for key, value in options.items() if key not in OF_A_SHARED_GPU for word in _flag(key, value))]


def _flag(key: str, value: Any) -> list[str]:
    """A keyword of `vllm.LLM` as `vllm serve` spells it."""
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [] if value is None else [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]


def _launch(cls: type[StageConfig], recipe: Path, words: Sequence[str]) -> list[str]:
    nodes, *overrides = words
    config = load_config(cls, recipe, overrides)
    chosen = os.environ.get("ACCELERATE") or configuration(recipe, int(nodes))
    return [str(chosen), str(round(config.grace_seconds) + SLACK_SECONDS)]


def _servers(cls: type[StageConfig], recipe: Path, words: Sequence[str]) -> list[str]:
    if not issubclass(cls, OnlineConfig):
        raise UserError("SERVE_NODES: this stage plays no rollouts: leave it out")
    urls, sync, *overrides = words
    engine = load_config(cls, recipe, overrides).engine
    ours = ["engine.kind=vllm_server", "engine.options={}", f"engine.servers.urls=[{urls}]", f"engine.servers.sync={sync}"]
    config = load_config(cls, recipe, [*overrides, *ours])
    return [*ours, "", *server_words(config, engine.options if engine.kind == "vllm" else {})]


def main(argv: Sequence[str]) -> int:
    """Returns the exit code."""
    what, stage, recipe, *words = argv
    try:
        if stage not in TRAINED:
            raise UserError(f"{stage} is no stage that is trained: choose {', '.join(TRAINED)}")
        print("\n".join({"launch": _launch, "servers": _servers}[what](class_of(stage), Path(recipe), words)))
    except UserError as error:
        print(f"medcopilot: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
