"""What PPO knows of a rollout before it learns from it, and how a round is dealt out to optimiser steps.

Promises: every rollout is in exactly one minibatch of every epoch; the deal depends on the seed only; the outcome sits on the last
sampled token, the penalty on the distance to the starting policy on every sampled token.
Does not cover: the forward passes that values and logprobs come from (`ppo_trainer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from medcopilot.rl.batch import split_rows
from medcopilot.rl.gae import Reduce, explained_variance, gae, moments, place_rewards, whiten
from medcopilot.rl.ppo_loss import k3
from medcopilot.rl.rounds import Row

_NONE = torch.zeros(0)


@dataclass(eq=False)
class Experience:
    """One rollout; tensors are (tokens,) float32, zero where the mask is 0."""

    row: Row
    values: Tensor = field(default_factory=lambda: _NONE)
    trainer: Tensor = field(default_factory=lambda: _NONE)
    """The trainer's logprobs before the round's first update."""
    start: Tensor = field(default_factory=lambda: _NONE)
    """The starting policy's logprobs."""
    advantages: Tensor = field(default_factory=lambda: _NONE)
    returns: Tensor = field(default_factory=lambda: _NONE)


def pad(parts: Sequence[Tensor] | Sequence[list[float]] | Sequence[list[int]], value: float = 0) -> Tensor:
    """Side by side, padded on the right: (rows, tokens)."""
    return pad_sequence([part if isinstance(part, Tensor) else torch.tensor(part) for part in parts], batch_first=True,
                        padding_value=value)


@dataclass(frozen=True)
class Credit:
    """How rewards become advantages."""

    gamma: float
    lam: float
    value_lam: float
    whiten: bool
    kl: float
    """Weight of the penalty."""


def assign(experiences: Sequence[Experience], credit: Credit, reduce: Reduce) -> dict[str, float]:
    """Fill in advantages and returns of a round; the metrics of all ranks' together."""
    mask = pad([one.row.mask for one in experiences])
    values = pad([one.values for one in experiences])
    rewards = place_rewards(torch.tensor([one.row.reward for one in experiences]), mask)
    metrics = {}
    if len(experiences[0].start):
        trainer, start = (pad(parts) for parts in zip(*((one.trainer, one.start) for one in experiences), strict=True))
        metrics["kl/start"] = float(moments(k3(trainer, start), mask, reduce)[0])
        rewards = rewards - credit.kl * (trainer - start) * mask
    advantages = gae(rewards, values, mask, credit.gamma, credit.lam)
    returns = (gae(rewards, values, mask, credit.gamma, credit.value_lam) + values) * mask
    mean, variance, count = moments(advantages, mask, reduce)
    metrics |= {"value/explained_variance": explained_variance(values, returns, mask, reduce),
                "value/mean": float(moments(values, mask, reduce)[0]), "value/return": float(moments(returns, mask, reduce)[0]),
                "advantage/mean": float(mean), "advantage/deviation": float(variance.sqrt()), "tokens": float(count)}
    if credit.whiten:
        advantages = whiten(advantages, mask, reduce)
    for number, one in enumerate(experiences):
        length = len(one.row.ids)
        one.advantages, one.returns = advantages[number, :length], returns[number, :length]
    return metrics


def deal(experiences: Sequence[Experience], minibatches: int, micro_batches: int, seed: Sequence[int]
         ) -> list[list[list[Experience]]]:
    """Minibatches of micro-batches of a round, in seeded order.

    Fewer rollouts than minibatches: the last ones hold a rollout without loss.
    """
    order = np.random.default_rng(list(seed)).permutation(len(experiences))
    dealt = []
    for part in np.array_split(order, minibatches):
        chosen = [experiences[index] for index in part] or [without_loss(experiences[0])]
        known = {id(one.row): one for one in chosen}
        dealt.append([[known.get(id(row)) or without_loss(chosen[0], row) for row in rows]
                      for rows in split_rows([one.row for one in chosen], micro_batches)])
    return dealt


def without_loss(one: Experience, row: Row | None = None) -> Experience:
    """An experience that trains nothing, of the tokens of `row`."""
    row = row or one.row._replace(mask=[0] * len(one.row.ids))
    zeros = torch.zeros(len(row.ids))
    return Experience(row, zeros, zeros, zeros, zeros, zeros)


def collate(experiences: Sequence[Experience], pad_id: int) -> dict[str, Tensor]:
    """`ids`, `mask`, `engine` (its logprobs), `trainer`, `values`, `advantages`, `returns`: (rows, tokens)."""
    batch = {"ids": pad([one.row.ids for one in experiences], pad_id), "mask": pad([one.row.mask for one in experiences]),
             "engine": pad([one.row.logprobs for one in experiences])}
    return batch | {name: pad([getattr(one, name) for one in experiences])
                    for name in ("trainer", "values", "advantages", "returns")}
