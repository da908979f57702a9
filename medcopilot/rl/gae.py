"""Generalised advantage estimation over episodes with observations in between.

Promises: pure functions on (rows, tokens) tensors; tokens that the policy did not sample (mask 0) are stepped over: value and
advantage of the next sampled token are held across them, so that observations of any length change nothing; padding after the
last sampled token changes nothing.
Source: Schulman et al. 2016 (arXiv 1506.02438), eq. 16; separate lambdas for policy and critic as in VC-PPO (arXiv 2503.01491).
Does not cover: where values come from (`actor_critic`) and how advantages enter a loss (`ppo_loss`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Reduce = Callable[[Tensor], Tensor]
"""Sums a tensor over all ranks."""


def alone(totals: Tensor) -> Tensor:
    """`Reduce` of a single process."""
    return totals


def place_rewards(outcomes: Tensor, mask: Tensor) -> Tensor:
    """(rows,) rewards of whole rollouts -> (rows, tokens), each on its rollout's last sampled token, 0 elsewhere.

    Raises:
        ValueError: a rollout with a reward has no sampled token: the reward would be lost.
    """
    if bool(((mask.sum(1) == 0) & (outcomes != 0)).any()):
        raise ValueError("a rollout with a reward has no sampled token")
    last = torch.where(mask.bool(), torch.arange(mask.shape[1]), -1).max(1).values
    placed = torch.zeros(mask.shape, dtype=outcomes.dtype)
    rows = (last >= 0).nonzero()[:, 0]
    placed[rows, last[rows]] = outcomes[rows]
    return placed


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Advantages of the sampled tokens, 0 elsewhere.

    Args:
        rewards: (rows, tokens), like values and mask; not looked at where the mask is 0.
        values: `values[t]` is the critic's estimate before token t is sampled; not looked at where the mask is 0.
        mask: 1 on sampled tokens.
        gamma: discount per sampled token.
        lam: weight of later estimates, 1: plain returns.
    """
    sampled = mask.to(values.dtype)
    advantages = torch.zeros_like(values)
    next_value = torch.zeros_like(values[:, 0])
    next_advantage = torch.zeros_like(next_value)
    for t in range(values.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = delta + gamma * lam * next_advantage
        keep = sampled[:, t].bool()
        next_value = torch.where(keep, values[:, t], next_value)
        next_advantage = torch.where(keep, advantage, next_advantage)
        advantages[:, t] = torch.where(keep, advantage, advantages[:, t])
    return advantages


def moments(values: Tensor, mask: Tensor, reduce: Reduce = alone) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance (over n, not n - 1) and number of the values at mask 1, over all ranks."""
    chosen = values[mask.bool()].double()
    total, count = reduce(torch.stack([chosen.sum(), torch.tensor(float(len(chosen)), dtype=torch.float64)]))
    mean = total / count.clamp(min=1)
    [squares] = reduce(((chosen - mean) ** 2).sum()[None])
    return mean, squares / count.clamp(min=1), count


def whiten(values: Tensor, mask: Tensor, reduce: Reduce = alone) -> Tensor:
    """Values at mask 1 with mean 0 and standard deviation 1 over all ranks; 0 elsewhere."""
    mean, variance, _ = moments(values, mask, reduce)
    return ((values - mean) / (variance + 1e-8).sqrt()).to(values.dtype) * mask.to(values.dtype)


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor, reduce: Reduce = alone) -> float:
    """1 - Var(returns - values) / Var(returns) at mask 1 over all ranks: 1 is a perfect critic, 0 one that knows the mean only."""
    _, left, _ = moments(returns - values, mask, reduce)
    _, whole, _ = moments(returns, mask, reduce)
    return float(1 - left / whole) if float(whole) > 1e-12 else 0.0
