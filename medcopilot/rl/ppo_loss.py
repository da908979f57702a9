"""PPO's losses and its control of the distance to the starting policy.

Promises: pure functions of tensors, one value per token, not summed and not masked: the trainer multiplies by the mask and
divides by the sampled tokens of the whole minibatch.
Source: Schulman et al. 2017 (arXiv 1707.06347), eq. 7; lower bound for negative advantages as in dual-clip PPO (Ye et al. 2020,
arXiv 1912.09729, eq. 5); adaptive penalty as in Ziegler et al. 2019 (arXiv 1909.08593, section 2.2).
"""

from __future__ import annotations

import torch
from torch import Tensor


def policy_loss(logprobs: Tensor, old: Tensor, advantages: Tensor, low: float, high: float, cap: float | None) -> Tensor:
    """-min(r A, clip(r, 1 - low, 1 + high) A), r = exp(logprobs - old); with `cap`, r is cut there first.

    The cap bounds what plain clipping leaves open: a token that became much more likely although its advantage is negative.
    """
    ratio = (logprobs - old).exp()
    clipped = ratio.clamp(1 - low, 1 + high)
    if cap is not None:
        ratio = ratio.clamp(max=cap)
    return -torch.minimum(ratio * advantages, clipped * advantages)


def clipped_share(logprobs: Tensor, old: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """1 for tokens whose gradient the clip has switched off."""
    ratio = (logprobs - old).exp()
    return (((ratio < 1 - low) & (advantages < 0)) | ((ratio > 1 + high) & (advantages > 0))).to(logprobs.dtype)


def value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float | None) -> Tensor:
    """Half the squared error, or with `clip` the larger of that and the error of `old` moved by at most `clip`."""
    error = (values - returns) ** 2
    if clip is not None:
        error = torch.maximum(error, (old + (values - old).clamp(-clip, clip) - returns) ** 2)
    return 0.5 * error


def k3(logprobs: Tensor, other: Tensor) -> Tensor:
    """Estimate of KL(p_logprobs || p_other) from tokens of the former: never negative, unbiased (Schulman 2020)."""
    difference = other - logprobs
    return difference.exp() - 1 - difference


def mismatch(engine: Tensor, trainer: Tensor) -> dict[str, float]:
    """How far the logprobs of the same sampled tokens are apart, (n,) each: mean, largest, and KL(engine || trainer)."""
    if not len(engine):
        return {}
    gap = (trainer - engine).abs()
    return {"mismatch/mean": gap.mean().item(), "mismatch/max": gap.max().item(),
            "mismatch/kl": k3(engine, trainer).mean().item()}


class KlControl:
    """Weight of the penalty on log p(token) - log p_start(token) in the reward of every sampled token.

    Args:
        weight: at the start.
        target: KL per token that the weight is steered towards; None: the weight stays.
        horizon: sampled tokens over which the weight follows.
    """

    def __init__(self, weight: float, target: float | None = None, horizon: float = 1e6) -> None:
        self.weight, self.target, self.horizon = weight, target, horizon

    def update(self, kl: float, tokens: float) -> None:
        """Follow the KL per token that was measured on so many tokens."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.weight *= 1 + error * min(1.0, tokens / self.horizon)
