"""A run that is told to make room: it finishes its step, saves a state and ends, and the same command goes on from there.

Promises: the first SIGTERM (a scheduler's preemption, its time limit, `kill`) is answered at the end of the step that is under
way, by all processes of the job at the same step; the recipe's exit code is 75. A second one (later than `ECHO_SECONDS`), or
`grace_seconds` without a state, ends the process at once, and what was saved before holds. Ctrl-C ends it at once, too.
A signal while the final checkpoint is written changes nothing: that is soon done.
Does not cover: SIGKILL and lost machines: after those the last state that `save_steps` wrote is resumed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback

ECHO_SECONDS = 10.0
"""Schedulers tell every process, and a launcher passes on what it was told: a second signal within this time is the same one."""


class MakeRoom(TrainerCallback):
    """Turns a signal into a saved state. The first of a trainer's callbacks: those after it see that a save is wanted."""

    def __init__(self, grace_seconds: float) -> None:
        self.grace_seconds = grace_seconds
        self.saved_at: int | None = None
        """Step of the state that the signal led to."""
        self._asked = False
        self._asked_at = 0.0
        self._agreed = False
        self._timer: threading.Timer | None = None
        self._before: Any = None

    def __enter__(self) -> MakeRoom:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._agreed = self._agreed or self._any_process(args)
        if self._agreed:
            control.should_save = True  # a trainer that saves between rounds only remembers it until then

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._agreed:
            self.saved_at = state.global_step
            control.should_training_stop = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            if time.monotonic() - self._asked_at < ECHO_SECONDS:
                return
            os._exit(128 + number)
        self._asked, self._asked_at = True, time.monotonic()
        self._timer = threading.Timer(self.grace_seconds, os._exit, (128 + number,))
        self._timer.daemon = True
        self._timer.start()

    def _any_process(self, args: Any) -> bool:
        """Whether any process of the job was asked; all call it together."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._asked
        asked = torch.tensor([int(self._asked)], device=args.device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return bool(asked.item())
