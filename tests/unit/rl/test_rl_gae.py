"""Advantages across observations: the hand case, and what must not change them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medcopilot.rl.gae import explained_variance, gae, moments, place_rewards, whiten

FLOATS = st.floats(-3, 3, width=32)


@st.composite
def rollouts(draw):
    """(rewards, values, mask) of one rollout as lists; at least one sampled token."""
    length = draw(st.integers(1, 12))
    mask = draw(st.lists(st.integers(0, 1), min_size=length, max_size=length).filter(any))
    values = draw(st.lists(FLOATS, min_size=length, max_size=length))
    rewards = [draw(FLOATS) * m for m in mask]
    return rewards, values, mask


def row(values, dtype=torch.float64):
    return torch.tensor([values], dtype=dtype)


def by_definition(rewards, values, mask, gamma, lam):
    """Equation 16 on the sampled tokens alone: A_t = sum over k of (gamma lam)^k delta_(t+k)."""
    places = [n for n, m in enumerate(mask) if m]
    v = [values[n] for n in places] + [0.0]
    deltas = [rewards[n] + gamma * v[k + 1] - v[k] for k, n in enumerate(places)]
    out = [0.0] * len(mask)
    for k, n in enumerate(places):
        out[n] = sum((gamma * lam) ** (j - k) * deltas[j] for j in range(k, len(places)))
    return out


def test_five_tokens_by_hand() -> None:
    """Tokens: sampled, sampled, observation, observation, sampled; gamma 0.9, lambda 0.5, reward 1 at the end.

    v = 0.2, 0.4, -, -, 0.6. From the last: delta = 1 - 0.6 = 0.4, A = 0.4. Then delta = 0.9 * 0.6 - 0.4 = 0.14 and
    A = 0.14 + 0.45 * 0.4 = 0.32. Then delta = 0.9 * 0.4 - 0.2 = 0.16 and A = 0.16 + 0.45 * 0.32 = 0.304.
    """
    advantages = gae(row([0, 0, 9, 9, 1.0]), row([0.2, 0.4, 7.0, -7.0, 0.6]), row([1, 1, 0, 0, 1]), 0.9, 0.5)
    assert advantages[0].tolist() == pytest.approx([0.304, 0.32, 0.0, 0.0, 0.4])


@given(rollouts(), st.floats(0.5, 1), st.floats(0, 1))
def test_it_is_the_published_sum_over_sampled_tokens(rollout, gamma, lam) -> None:
    rewards, values, mask = rollout
    assert gae(row(rewards), row(values), row(mask), gamma, lam)[0].tolist() == pytest.approx(
        by_definition(rewards, values, mask, gamma, lam), abs=1e-9)


@given(rollouts(), st.integers(0, 12), st.lists(FLOATS, min_size=1, max_size=9), st.floats(0.5, 1), st.floats(0, 1))
def test_an_inserted_observation_changes_no_action(rollout, place, observation, gamma, lam) -> None:
    rewards, values, mask = rollout
    place = min(place, len(mask))

    def insert(items, new):
        return [*items[:place], *new, *items[place:]]

    plain = gae(row(rewards), row(values), row(mask), gamma, lam)[0]
    longer_mask = insert(mask, [0] * len(observation))
    longer = gae(row(insert(rewards, observation)), row(insert(values, observation)), row(longer_mask), gamma, lam)[0]
    assert longer[torch.tensor(longer_mask).bool()].tolist() == plain[torch.tensor(mask).bool()].tolist()


@given(rollouts(), st.floats(-2, 2))
def test_without_discount_the_advantage_is_outcome_minus_value(rollout, outcome) -> None:
    _, values, mask = rollout
    rewards = place_rewards(torch.tensor([outcome], dtype=torch.float64), row(mask))
    advantages = gae(rewards, row(values), row(mask), 1.0, 1.0)[0]
    for place, sampled in enumerate(mask):
        assert advantages[place].item() == pytest.approx((outcome - values[place]) * sampled, abs=1e-6)


@given(st.lists(rollouts(), min_size=1, max_size=4), st.integers(0, 5), st.floats(0, 1))
def test_padding_and_neighbours_change_nothing(parts, more, lam) -> None:
    width = max(len(mask) for _, _, mask in parts) + more

    def side_by_side(index, fill):
        return torch.tensor([part[index] + [fill] * (width - len(part[index])) for part in parts], dtype=torch.float64)

    together = gae(side_by_side(0, 5.0), side_by_side(1, -3.0), side_by_side(2, 0), 0.97, lam)
    for number, (rewards, values, mask) in enumerate(parts):
        alone = gae(row(rewards), row(values), row(mask), 0.97, lam)[0]
        assert together[number, : len(mask)].tolist() == pytest.approx(alone.tolist(), abs=1e-12)
        assert not together[number, len(mask):].any()


def test_the_outcome_sits_on_the_last_sampled_token() -> None:
    mask = torch.tensor([[0, 1, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]])
    placed = place_rewards(torch.tensor([2.0, -1.0, 0.0]), mask)
    assert placed.tolist() == [[0, 0, 2.0, 0, 0], [0, 0, 0, 0, -1.0], [0, 0, 0, 0, 0]]
    with pytest.raises(ValueError, match="no sampled token"):
        place_rewards(torch.tensor([1.0]), torch.zeros(1, 3, dtype=torch.long))


@given(st.lists(rollouts(), min_size=1, max_size=4))
def test_whitened_values_have_mean_0_and_deviation_1(parts) -> None:
    for _, values, mask in parts:
        white = whiten(row(values), row(mask))
        mean, variance, count = moments(white, row(mask))
        assert count == sum(mask)
        assert mean.item() == pytest.approx(0.0, abs=1e-3)
        before = moments(row(values), row(mask))[1].item()
        assert variance.item() == pytest.approx(before / (before + 1e-8), abs=1e-3)
        assert not white[0][torch.tensor(mask) == 0].any()


def test_moments_over_ranks_are_those_of_all_tokens() -> None:
    """Two ranks of unequal size; each adds what the other one has."""
    values = [torch.tensor([[1.0, 2.0, 50.0]]), torch.tensor([[4.0, 8.0, 9.0]])]
    masks = [torch.tensor([[1, 1, 0]]), torch.tensor([[1, 1, 1]])]
    chosen = torch.tensor([1.0, 2.0, 4.0, 8.0, 9.0])
    totals = [torch.tensor([3.0, 2.0], dtype=torch.float64), torch.tensor([21.0, 3.0], dtype=torch.float64)]
    squares = [((torch.tensor(part).double() - chosen.mean()) ** 2).sum()[None] for part in ([1.0, 2.0], [4.0, 8.0, 9.0])]
    for rank in (0, 1):
        others = iter([totals[1 - rank], squares[1 - rank]])
        mean, variance, count = moments(values[rank], masks[rank], lambda mine, others=others: mine + next(others))
        assert (mean.item(), count.item()) == pytest.approx((chosen.mean().item(), 5))
        assert variance.item() == pytest.approx(chosen.var(unbiased=False).item())


def test_explained_variance() -> None:
    returns, mask = row([1.0, 2.0, 3.0, 100.0]), row([1, 1, 1, 0])
    assert explained_variance(returns, returns, mask) == pytest.approx(1.0)
    assert explained_variance(row([2.0, 2.0, 2.0, 0.0]), returns, mask) == pytest.approx(0.0)
    assert explained_variance(row([3.0, 2.0, 1.0, 0.0]), returns, mask) == pytest.approx(-3.0)  # 1 - Var(-2, 0, 2) / Var(1, 2, 3)
    assert explained_variance(returns, row([5.0] * 4), mask) == 0.0
