"""How this process was started: alone, or by `accelerate launch` as one of several, and what the launch asked for.

Promises: reads the environment only, without torch; a launch that would quietly become something else is refused with one sentence.
Does not cover: what is really in force once the model is wrapped (`medcopilot.train.parallel`).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from env.errors import UserError

_LOST = ("Connection closed by peer", "Connection reset by peer", "Connection refused", "Broken pipe", "Timed out waiting",
         "timed out after")
"""What gloo and the rendezvous store say when another process of the job is gone."""

_ONLY_ONE = {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", "MASTER_PORT", "KMP_BLOCKTIME"}
"""Set by accelerate where it starts one process on a CPU in place of several."""


class Preempted(Exception):
    """Training stopped because it was told to make room, and its state is saved."""

    exit_code = 75
    """EX_TEMPFAIL of sysexits.h: try the same again."""


class Launch(NamedTuple):
    """What the launch asked for."""

    processes: int
    rank: int
    machines: int
    wrapper: str
    """`none`, `DDP`, `ZeRO-0` to `ZeRO-3`, or `FSDP2`."""

    @property
    def plain(self) -> bool:
        """One process and nothing sharded."""
        return self.processes == 1 and self.wrapper == "none"

    @property
    def sharded(self) -> bool:
        """No process holds whole weights."""
        return self.wrapper in ("ZeRO-3", "FSDP2")

    def __str__(self) -> str:
        where = f" on {self.machines} machines" if self.machines > 1 else ""
        return f"{self.processes} process{'es' if self.processes > 1 else ''}{where}, {self.wrapper}"


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """What `accelerate launch` or torchrun left in the environment.

    Raises:
        UserError: several processes were asked for and one was started, or FSDP in its first version.
    """
    processes = int(environment.get("WORLD_SIZE", 1))
    if "WORLD_SIZE" not in environment and environment.keys() >= _ONLY_ONE:
        raise UserError("accelerate started one process where its configuration asks for several (`distributed_type: MULTI_CPU` "
                        "does that without mpirun): use accelerate_configs/ci/ddp.yaml, or set num_processes to 1")
    wrapper = "DDP" if processes > 1 else "none"
    if environment.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        wrapper = f"ZeRO-{_stage(environment)}"
    elif environment.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        if environment.get("FSDP_VERSION", "1") != "2":
            raise UserError("FSDP in its first version is not supported: set `fsdp_version: 2` in the accelerate configuration")
        wrapper = "FSDP2"
    machines = int(environment.get("GROUP_WORLD_SIZE", 1))
    return Launch(processes, int(environment.get("RANK", 0)), machines, wrapper)


def _stage(environment: Mapping[str, str]) -> int:
    """ZeRO stage; accelerate's own default is 2."""
    file = environment.get("ACCELERATE_DEEPSPEED_CONFIG_FILE")
    if file and file != "none":
        try:
            return int(json.loads(Path(file).read_text(encoding="utf-8"))["zero_optimization"]["stage"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{file}: the DeepSpeed configuration names no zero_optimization.stage: add it") from None
    return int(environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", 2))


def end_with_launcher() -> None:
    """End this process when the launcher ends, however that ends: processes left behind would hold the run's folder. At once: a
    launcher that is told to end tells its processes first, and waits for them."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def lost_process(error: BaseException) -> str | None:
    """One sentence if the error says that another process of the job has gone, else None."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    reason = next((words for words in _LOST if words in str(error)), None)
    if processes < 2 or reason is None:
        return None
    return (f"process {os.environ.get('RANK')} of {processes}: another process of this job has ended ({reason}); the launcher's "
            "report says which; run the same command again, it resumes from the last saved state")
