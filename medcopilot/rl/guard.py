"""Steps that must not be taken: a loss that is not a number, or a ratio of trainer to engine beyond all reason.

Promises: such a step leaves the weights as they are, on every rank; it is counted (`skipped`), and the third one
ends the run with one sentence; resumable states of before stay.
Does not cover: DeepSpeed, which takes its step at the end of the last backward pass, before a guard can drop the gradients: the
micro-batch at fault then gives none, the others of its step do. Infinite gradients from a finite loss it finds itself.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from env.errors import UserError


class StepGuard(TrainerCallback):
    """One trainer's guard; also a callback, since it must act between the last backward pass and the optimiser.

    Args:
        limit: largest importance ratio of a sampled token, either way.
        most: skipped steps after which the run ends.
    """

    def __init__(self, limit: float = 1e4, most: int = 3) -> None:
        self.limit, self.most = limit, most
        self.skipped = 0
        self._reason = ""

    def check(self, trainer: Any, loss: Tensor, log_ratio: Tensor) -> Tensor:
        """The loss of a micro-batch, or 0 with gradients of 0 when its step must not be taken. Every rank calls it together.

        Args:
            log_ratio: (n,), trainer over engine, of the sampled tokens.
        """
        worst = log_ratio.detach().abs().max().item() if len(log_ratio) else 0.0
        bad = not math.isfinite(loss.item()) or not worst <= math.log(self.limit)
        flag = torch.tensor([float(bad)], device=loss.device)
        if not trainer.accelerator.reduce(flag, reduction="sum").item():
            return loss
        if bad or not self._reason:
            self._reason = (f"importance ratio e^{worst:.1f}, above {self.limit:g}" if math.isfinite(loss.item())
                            else "the loss is not finite") if bad else "on another rank"
        return torch.nan_to_num(loss, nan=0.0, posinf=0.0, neginf=0.0) * 0.0

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """Between the last backward pass and the update: without gradients nothing moves, nor do the moments."""
        if self._reason and optimizer is not None:
            optimizer.zero_grad(set_to_none=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self._reason:
            return
        reason, self._reason = self._reason, ""
        self.skipped += 1
        if self.skipped >= self.most:
            raise UserError(f"step {state.global_step}: {self.skipped} steps could not be taken, last because of: {reason}: "
                            "lower the learning rate, or bring engine.dtype nearer to the trainer's; the last state is kept")
