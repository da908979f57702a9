"""The sampler: right distribution, right logprob, no influence between rows."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medcopilot.policies.sampler import choose, uniforms


def test_draws_are_uniform_and_differ_by_seed_and_position() -> None:
    draws = uniforms([7] * 20_000, list(range(20_000)))
    assert stats.kstest(draws, "uniform").pvalue > 0.01
    other = uniforms([8] * 20_000, list(range(20_000)))
    assert abs(np.corrcoef(draws, other)[0, 1]) < 0.03
    by_seed = uniforms(list(range(20_000)), [5] * 20_000)
    assert stats.kstest(by_seed, "uniform").pvalue > 0.01


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_any_integer_is_a_seed(seed: int, position: int) -> None:
    draw = uniforms([seed], [position])[0]
    assert 0.0 <= draw < 1.0
    assert draw == uniforms([3, seed], [1, position])[1]


def test_frequencies_follow_the_tempered_softmax() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, float("-inf")])
    count = 20_000
    ids, logprobs = choose(logits.expand(count, -1), [0.7] * count, [1.0] * count, uniforms(list(range(count)), [0] * count))
    expected = torch.softmax(logits / 0.7, -1)
    observed = np.bincount(ids, minlength=5)
    assert observed[4] == 0
    assert stats.chisquare(observed[:4], expected[:4].double().numpy() / expected[:4].double().sum().item() * count).pvalue > 0.01
    for token, logprob in zip(ids[:100], logprobs[:100], strict=True):
        assert math.isclose(logprob, math.log(expected[token]), abs_tol=1e-5)


def test_greedy_reports_the_logprob_of_temperature_one() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    ids, logprobs = choose(logits, [0.0], [0.5], np.array([0.99]))
    assert ids == [1]
    assert math.isclose(logprobs[0], torch.log_softmax(logits, -1)[0, 1].item(), abs_tol=1e-6)


def test_top_p_keeps_the_nucleus_and_renormalises() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    count = 4000
    ids, logprobs = choose(logits.expand(count, -1), [1.0] * count, [0.7] * count, uniforms([1] * count, list(range(count))))
    assert set(ids) == {0, 1}
    assert math.isclose(logprobs[ids.index(1)], math.log(0.3 / 0.8), abs_tol=1e-5)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.3, 2.0), st.floats(0.2, 1.0))
def test_a_row_is_the_same_in_any_batch(seed: int, temperature: float, top_p: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, 40, generator=generator) * 3
    draws = uniforms([seed] * 5, list(range(5)))
    together = choose(logits, [temperature, 0.0, 1.0, temperature, 1.0], [top_p, 1.0, 1.0, top_p, top_p], draws)
    alone = choose(logits[3:4], [temperature], [top_p], draws[3:4])
    assert together[0][3] == alone[0][0]
    assert math.isclose(together[1][3], alone[1][0], abs_tol=1e-5)


def test_the_extreme_draws_hit_tokens_that_exist() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")]]).expand(2, -1)
    ids, _ = choose(logits, [1.0, 1.0], [1.0, 1.0], np.array([0.0, np.nextafter(1.0, 0.0)]))
    assert ids == [1, 3]
