"""The chunked head on a GPU: the plain computation's values and gradients at Qwen2.5's vocabulary, in a fraction of its memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from medcopilot.train.chunked_loss import chunked_cross_entropy, chunked_logprobs

pytestmark = pytest.mark.gpu
TOKENS, WIDTH, VOCABULARY = 8192, 896, 151_936
TABLE = 4 * TOKENS * VOCABULARY
"""Bytes of the logits of all tokens in float32."""


def inputs(device: torch.device, dtype: torch.dtype, tokens: int = TOKENS, vocabulary: int = VOCABULARY
           ) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator(device).manual_seed(0)
    hidden = torch.randn(tokens, WIDTH, generator=generator, device=device).to(dtype).requires_grad_()
    weight = (0.05 * torch.randn(vocabulary, WIDTH, generator=generator, device=device)).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, vocabulary, (tokens,), generator=generator, device=device)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_values_and_gradients_are_the_plain_ones(device: torch.device, dtype: torch.dtype, tolerance: float) -> None:
    hidden, weight, targets = inputs(device, dtype, tokens=700, vocabulary=5000)
    found = chunked_logprobs(hidden, weight, targets, 0.7, chunk=256)
    table = ((hidden @ weight.t()).float() / 0.7).log_softmax(-1)
    expected = table.gather(-1, targets[:, None])[:, 0], -(table.exp() * table).sum(-1)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    slopes = torch.linspace(-1, 1, 700, device=device)
    gradients = [torch.autograd.grad(((a + 0.1 * b) * slopes).sum(), (hidden, weight)) for a, b in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        assert (one - other).float().norm() <= tolerance * other.float().norm()


def test_the_table_is_never_there_at_once(device: torch.device) -> None:
    hidden, weight, targets = inputs(device, torch.bfloat16)
    peaks, losses = [], []
    for chunked in (True, False):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        if chunked:
            loss, _ = chunked_cross_entropy(hidden, weight, targets)
        else:
            loss = F.cross_entropy((hidden @ weight.t()).float(), targets)
        torch.autograd.grad(loss, (hidden, weight))
        peaks.append(torch.cuda.max_memory_allocated() - before)
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert peaks[1] > TABLE  # what is saved is real
    assert peaks[0] < 6 * 2**30 + 2 * 4 * VOCABULARY * WIDTH  # a few chunks of 1 GiB, and the head's gradient in float32
    assert peaks[0] < 0.5 * peaks[1]
