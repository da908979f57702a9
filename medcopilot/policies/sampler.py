"""Drawing tokens: per-request seeds, independent of what else is in the batch.

Promises: the token drawn for (logits, seed, position) is the same whatever the other rows are; the logprob is that of the
distribution drawn from (temperature and top-p applied); at temperature 0 the token is the most probable one and the logprob
is that of temperature 1, since the sampling distribution itself would always give 0.

Method: inversion. One uniform number per token comes from a counter-based generator (SplitMix64: Steele, Lea and Flood,
OOPSLA 2014) keyed by seed and position, so nothing has to be stored or restored per request.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 0xFFFFFFFFFFFFFFFF


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniforms(seeds: list[int], positions: list[int]) -> np.ndarray:
    """One number in [0, 1) for each pair, float64. Any integer is a seed (taken modulo 2**64)."""
    seed = np.array([value & _WORD for value in seeds], dtype=np.uint64)
    position = np.array(positions, dtype=np.uint64)
    with np.errstate(over="ignore"):
        word = _mix(_mix(seed + np.uint64(_GOLDEN)) + (position + np.uint64(1)) * np.uint64(_GOLDEN))
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53


@torch.no_grad()
def choose(logits: Tensor, temperatures: list[float], top_ps: list[float], draws: np.ndarray) -> tuple[list[int], list[float]]:
    """Draw one token per row.

    Args:
        logits: (B, vocabulary).
        temperatures: 0 means the most probable token.
        top_ps: keep the smallest set of tokens whose probability reaches this (1 keeps all).
        draws: uniform numbers in [0, 1), one per row.

    Returns:
        Token ids and their natural logprobs.
    """
    logits = logits.float()
    if any(value not in (0.0, 1.0) for value in temperatures):
        logits = logits / torch.tensor([value or 1.0 for value in temperatures], device=logits.device)[:, None]
    logprobs = logits.log_softmax(-1)
    greedy = [value == 0.0 for value in temperatures]
    if all(greedy):
        picked = logits.argmax(-1)
    else:
        if any(top_p < 1.0 and not is_greedy for top_p, is_greedy in zip(top_ps, greedy, strict=True)):
            logprobs = _nucleus(logprobs, [1.0 if g else p for p, g in zip(top_ps, greedy, strict=True)])
        picked = _invert(logprobs, draws)
        if any(greedy):
            picked = torch.where(torch.tensor(greedy, device=logits.device), logits.argmax(-1), picked)
    chosen = logprobs.gather(-1, picked[:, None])[:, 0]
    return picked.tolist(), chosen.tolist()


def _invert(logprobs: Tensor, draws: np.ndarray) -> Tensor:
    """The token at which the cumulative probability passes the draw."""
    cumulative = logprobs.exp().cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:].contiguous()
    target = torch.from_numpy(draws).to(logprobs.device)[:, None] * total
    picked = torch.searchsorted(cumulative, target, right=True)
    last = torch.searchsorted(cumulative, total)  # the last token that has any probability
    return torch.minimum(picked, last)[:, 0]


def _nucleus(logprobs: Tensor, top_ps: list[float]) -> Tensor:
    """Logprobs of the distribution cut to its nucleus (Holtzman et al., ICLR 2020) and renormalised."""
    ordered, order = logprobs.sort(dim=-1, descending=True, stable=True)
    probs = ordered.exp()
    before = probs.cumsum(-1) - probs
    limit = torch.tensor(top_ps, device=logprobs.device)[:, None]
    cut = ((before >= limit) & (limit < 1.0)).scatter(-1, order, (before >= limit) & (limit < 1.0))
    return logprobs.masked_fill(cut, float("-inf")).log_softmax(-1)
