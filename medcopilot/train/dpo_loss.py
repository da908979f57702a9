"""DPO's loss as a pure function, for where TRL is not installed: benchmarks of the update on a bare GPU machine.

Promises: equals what `dpo.MaskedDpoTrainer` computes with `loss: sigmoid` and no label smoothing (a test compares them).
Does not cover: the other losses, which are TRL's; the forward passes.
Source: Rafailov et al. 2023 (arXiv 2305.18290), eq. 7; likelihood term as in RPO, Pang et al. 2024 (arXiv 2404.19733).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_loss(sums: Tensor, reference: Tensor, beta: float) -> Tensor:
    """-log sigmoid(beta ((c - c_ref) - (r - r_ref))), (pairs,), not averaged.

    Args:
        sums, reference: (2, pairs), the chosen and the rejected side's log-probabilities of sampled tokens in nats, added up.
    """
    chosen, rejected = sums - reference
    return -logsigmoid(beta * (chosen - rejected))


def likelihood_loss(logprobs: Tensor, mask: Tensor) -> Tensor:
    """Mean over sampled tokens of the chosen side's negative log-probability; both (pairs, tokens)."""
    return -(logprobs * mask).sum() / mask.sum().clamp(min=1)
