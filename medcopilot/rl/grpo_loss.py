"""GRPO's loss (`type: dapo`) as a pure function, for where TRL is not installed: benchmarks of the update on a bare GPU machine.

Promises: equals TRL's `dapo` loss with `delta` (our `ratio_cap`) and without or with its KL term (the contract test of
`trainer.StreamGRPOTrainer` compares them). The ratio is trainer over engine, so the cap is that of truncated importance sampling.
Does not cover: the other losses, which are TRL's; the forward passes.
Source: DAPO (arXiv 2503.14476), eq. 8; dual clip, Ye et al. 2020 (arXiv 1912.09729), eq. 5.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from medcopilot.rl.ppo_loss import k3, policy_loss


def dapo_loss(logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, total: Any, *, low: float = 0.2, high: float = 0.28,
              cap: float | None = 2.0, reference: Tensor | None = None, kl: float = 0.0) -> Tensor:
    """This micro-batch's part of the loss: summed over sampled tokens, divided by `total`.

    Args:
        logprobs, old, mask: (rows, tokens); the trainer's logprobs, the engine's, 1 for sampled tokens.
        advantages: (rows,), one per rollout.
        total: sampled tokens of the whole step, over all micro-batches and ranks.
        reference: (rows, tokens), the starting policy's logprobs; with `kl`, the weight of the distance to it. The distance is
            weighted by the ratio, as TRL does by default: its gradient is then that of the reverse KL (arXiv 2512.02556).
    """
    loss = policy_loss(logprobs, old, advantages[:, None], low, high, cap)
    if reference is not None and kl:
        loss = loss + kl * (logprobs - old).exp() * k3(logprobs, reference)
    return (loss * mask).sum() / total
