"""PPO's per-token losses by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcopilot.rl.ppo_loss import KlControl, clipped_share, k3, policy_loss, value_loss


def loss(ratio: float, advantage: float, cap: float | None = None) -> float:
    return policy_loss(torch.tensor([math.log(ratio)]), torch.zeros(1), torch.tensor([advantage]), 0.2, 0.3, cap).item()


@pytest.mark.parametrize(("ratio", "advantage", "cap", "expected"), [
    (1.0, 2.0, None, -2.0),
    (1.5, 2.0, None, -2.6),  # clipped at 1.3
    (0.5, 2.0, None, -1.0),  # the worse of the two counts
    (1.5, -2.0, None, 3.0),  # not clipped: moving back is allowed
    (0.5, -2.0, None, 1.6),  # clipped at 0.8
    (9.0, -2.0, None, 18.0),
    (9.0, -2.0, 3.0, 6.0),  # the cap bounds it
    (9.0, 2.0, 3.0, -2.6),
])
def test_policy_loss_by_hand(ratio, advantage, cap, expected) -> None:
    assert loss(ratio, advantage, cap) == pytest.approx(expected, rel=1e-5)


def test_the_clip_switches_the_gradient_off() -> None:
    logprobs = torch.tensor([math.log(1.5), math.log(1.1), math.log(0.5), math.log(1.5)], requires_grad=True)
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    policy_loss(logprobs, torch.zeros(4), advantages, 0.2, 0.3, None).sum().backward()
    assert logprobs.grad.tolist() == pytest.approx([0.0, -1.1, 0.0, 1.5], rel=1e-5)
    assert clipped_share(logprobs.detach(), torch.zeros(4), advantages, 0.2, 0.3).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(("value", "old", "target", "clip", "expected"), [
    (0.5, 0.0, 1.0, None, 0.125),
    (0.5, 0.0, 1.0, 0.2, 0.32),  # the clipped 0.2 is further away: 0.5 * 0.8^2
    (0.1, 0.0, 1.0, 0.2, 0.405),
    (-0.5, 0.0, 1.0, 0.2, 1.125),  # the unclipped one is
])
def test_value_loss_by_hand(value, old, target, clip, expected) -> None:
    parts = (torch.tensor([part]) for part in (value, old, target))
    assert value_loss(*parts, clip).item() == pytest.approx(expected, rel=1e-5)


@given(st.lists(st.floats(-5, 0), min_size=2, max_size=6))
def test_k3_is_never_negative_and_its_mean_is_the_divergence(logits) -> None:
    p = torch.log_softmax(torch.tensor(logits, dtype=torch.float64), -1)
    q = torch.log_softmax(torch.tensor(logits[::-1], dtype=torch.float64), -1)
    estimates = k3(p, q)
    assert (estimates >= -1e-12).all()
    divergence = (p.exp() * (p - q)).sum()
    assert (p.exp() * estimates).sum().item() == pytest.approx(divergence.item(), abs=1e-9)


def test_the_steered_weight_follows_the_target() -> None:
    control = KlControl(0.1, target=0.02, horizon=1000)
    control.update(0.022, 500)  # 10 % above for half the horizon
    assert control.weight == pytest.approx(0.1 * 1.05)
    control.update(9.0, 10_000)  # never more than 20 % at a time
    assert control.weight == pytest.approx(0.1 * 1.05 * 1.2)
    control.update(0.0, 1000)
    assert control.weight == pytest.approx(0.1 * 1.05 * 1.2 * 0.8)
    fixed = KlControl(0.1)
    fixed.update(9.0, 1000)
    assert fixed.weight == 0.1
