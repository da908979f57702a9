"""Optimisers and schedules, against torch and by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from medcopilot.train.loop import Horizon
from medcopilot.train.optim import BatchedMuon, HorizonSchedule, MuonAdamW, make_optimizer, rate
from medcopilot.train.settings import OptimizerConfig

SHAPES = [(8, 8), (24, 8), (8, 24), (8, 8)]


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def step_on_random_gradients(optimizer: torch.optim.Optimizer, params: list[torch.nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    optimizer.step()


def test_batched_muon_is_muon() -> None:
    mine, theirs = parameters(), parameters()
    a, b = BatchedMuon(mine, lr=0.02, weight_decay=0.1), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for seed in range(4):
        step_on_random_gradients(a, mine, seed)
        step_on_random_gradients(b, theirs, seed)
    for x, y in zip(mine, theirs, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-2, atol=1e-3)


def test_state_of_the_joint_optimiser_resumes() -> None:
    config = OptimizerConfig()

    def fresh() -> tuple[list[torch.nn.Parameter], MuonAdamW]:
        params = [*parameters(), torch.nn.Parameter(torch.ones(5))]
        return params, MuonAdamW(params[:4], params[4:], config)

    straight, optimizer = fresh()
    for seed in range(4):
        step_on_random_gradients(optimizer, straight, seed)
    resumed, first = fresh()
    for seed in range(2):
        step_on_random_gradients(first, resumed, seed)
    second = MuonAdamW(resumed[:4], resumed[4:], config)
    second.load_state_dict(first.state_dict())
    for seed in range(2, 4):
        step_on_random_gradients(second, resumed, seed)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def test_embeddings_and_vectors_go_to_adamw() -> None:
    model = torch.nn.ModuleDict({"embed_tokens": torch.nn.Embedding(4, 8), "proj": torch.nn.Linear(8, 8),
                                 "lm_head": torch.nn.Linear(8, 4, bias=False)})
    optimizer = make_optimizer(model, OptimizerConfig(muon_lr=0.5, lr=0.1))
    assert [(group["lr"], len(group["params"])) for group in optimizer.param_groups] == [(0.5, 1), (0.1, 3)]


def test_sgd_moves_along_the_gradient_with_momentum() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    optimizer = make_optimizer(model, OptimizerConfig(name="sgd", lr=0.1, betas=(0.5, 0.9)))
    start, gradient = model.weight.detach().clone(), torch.tensor([[1.0, -3.0]])
    for _ in range(2):
        model.weight.grad = gradient.clone()
        optimizer.step()
    assert torch.allclose(model.weight, start - 0.1 * (1 + 1.5) * gradient)


def test_schedule_writes_where_the_optimiser_reads() -> None:
    params = [*parameters(), torch.nn.Parameter(torch.ones(5))]
    config = OptimizerConfig(muon_lr=1.0, lr=0.1, warmup_steps=2, hold=0.5, floor=0.0, schedule="hold_linear")
    optimizer = MuonAdamW(params[:4], params[4:], config)
    schedule = HorizonSchedule(optimizer, config, Horizon(10, None).progress)
    seen = []
    for seed in range(10):
        seen.append(tuple(round(group["lr"], 6) for group in optimizer.param_groups))
        step_on_random_gradients(optimizer, params, seed)
        schedule.step()
    assert [round(muon, 3) for muon, _ in seen] == [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert all(adamw == pytest.approx(muon / 10) for muon, adamw in seen)
    again = HorizonSchedule(MuonAdamW(params[:4], params[4:], config), config, Horizon(10, None).progress)
    again.load_state_dict(schedule.state_dict())
    assert again.get_lr() == schedule.get_lr()


def test_rates_by_hand() -> None:
    nano = OptimizerConfig()
    assert rate(nano, 0, 0.0) == pytest.approx(1 / 60)
    assert rate(nano, 59, 0.1) == 1.0
    assert rate(nano, 500, 0.4) == 1.0
    assert rate(nano, 500, 0.7) == pytest.approx(1 - 0.95 / 2)
    assert rate(nano, 500, 1.0) == pytest.approx(0.05)
    cosine = OptimizerConfig(schedule="cosine", warmup_steps=0, floor=0.0)
    assert [rate(cosine, 9, p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    assert rate(OptimizerConfig(schedule="constant", warmup_steps=0), 0, 1.0) == 1.0


@given(st.sampled_from(["hold_linear", "cosine", "linear"]), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.99))
def test_after_the_warm_up_rates_only_fall(schedule: str, floor: float, first: float, second: float, hold: float) -> None:
    config = OptimizerConfig(schedule=schedule, warmup_steps=0, floor=floor, hold=hold)  # type: ignore[arg-type]
    early, late = sorted((first, second))
    assert floor - 1e-9 <= rate(config, 10, late) <= rate(config, 10, early) + 1e-9 <= 1 + 2e-9


def test_the_horizon_that_ends_first_counts() -> None:
    horizon = Horizon(100, 10.0)
    assert horizon.progress(10, elapsed=5.0) == 0.5
    assert horizon.progress(80, elapsed=5.0) == 0.8
    assert horizon.progress(300, elapsed=0.0) == 1.0
    horizon.start(before=6.0)
    assert horizon.progress(0) >= 0.6


def test_muon_and_adamw_are_one_optimiser_to_a_sharded_checkpoint() -> None:
    """torch.distributed.checkpoint lets an optimiser without state make a step, and names parameters by their modules."""
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 24))
    other = copy.deepcopy(model)
    ours, theirs = (make_optimizer(m, OptimizerConfig(warmup_steps=0)) for m in (model, other))
    for seed in (0, 1):
        step_on_random_gradients(ours, list(model.parameters()), seed)
    ours.zero_grad()
    before = copy.deepcopy(ours.state_dict())
    kept = copy.deepcopy(get_optimizer_state_dict(model, ours))
    torch.testing.assert_close(ours.state_dict(), before)  # saving moved nothing
    other.load_state_dict(model.state_dict())
    set_optimizer_state_dict(other, theirs, kept)
    for m, optimizer in ((model, ours), (other, theirs)):
        step_on_random_gradients(optimizer, list(m.parameters()), 2)
    for left, right in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_joint_optimiser_steps_and_keeps_what_a_wrapper_leaves_it() -> None:
    """DeepSpeed takes all groups but one away for a step, and sets states of parameters that it made itself."""
    params = parameters()
    optimizer = MuonAdamW(params[:2], params[2:], OptimizerConfig())
    before = [p.detach().clone() for p in params]
    every = optimizer.param_groups
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.param_groups = [every[1]]
    optimizer.step()
    optimizer.param_groups = every
    assert [torch.equal(p, old) for p, old in zip(params, before, strict=True)] == [True, True, False, False]
    assert optimizer.state[params[3]]["step"] == 1
    optimizer.state.setdefault(params[0], {})["momentum_buffer"] = torch.zeros_like(params[0])
    assert set(optimizer.state_dict()["state"]) == {0, 2, 3}
