"""Inputs that a recipe makes for itself: the nano recipes start from an empty checkout.

Promises: where an input that lies in the demo's folder is missing, the demo (`make demo`) is run up to the step that makes it
(minutes, once; it resumes, and a later demo goes on from there); inputs elsewhere are never made. Of several processes one does it
and the others wait.
Does not cover: what the steps are (`medcopilot.demo`).
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from env.errors import UserError
from medcopilot.train.config import InputStep, Prepare, StageConfig

INPUT_STEPS: tuple[str, ...] = get_args(InputStep)

_LAUNCHER = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_", "DEEPSPEED_", "GROUP_", "ROLE_", "LOCAL_", "MASTER_", "RANK", "WORLD_SIZE",
             "OMP_NUM_THREADS")
"""What a launch of several processes sets: the demo's own steps are not part of it."""


def make_inputs(config: StageConfig) -> None:
    """Run the demo as far as the recipe needs, if something that it makes is missing.

    Raises:
        UserError: a step of the demo failed; it has said why.
    """
    wanted: Prepare | None = config.prepare
    if wanted is None or not list(_missing(config, wanted.out)):
        return
    wanted.out.mkdir(parents=True, exist_ok=True)
    with (wanted.out / ".prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other processes of a launch wait here
        missing = list(_missing(config, wanted.out))
        if not missing:
            return
        print(f"{config.name}: {missing[0]} is not there yet: the demo up to its step '{wanted.until}' makes it (once)",
              file=sys.stderr, flush=True)
        words = [sys.executable, "-m", "medcopilot.demo", "--out", str(wanted.out), "--scale", wanted.scale,
                 "--until", wanted.until]
        alone = {key: value for key, value in os.environ.items() if not key.startswith(_LAUNCHER)}
        code = subprocess.run(words, env=alone, stdout=sys.stderr, check=False).returncode
    if code:
        raise UserError(f"the inputs of {config.name} could not be made: see the message above; running again resumes")


def _missing(config: StageConfig, folder: Path) -> Iterator[Path]:
    model = getattr(config, "model", None)
    for value in (getattr(config, "data", None), getattr(model, "checkpoint", None), getattr(model, "tokenizer", None)):
        if value is not None and Path(value).is_relative_to(folder) and not Path(value).exists():
            yield Path(value)
