"""Doubles of vLLM servers on real sockets, and a model that they can serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from vllm_double import VOCABULARY, VllmDouble

from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.policies.vllm_server import LoopThread, VllmServerPolicy

STOP = 2
QUICK = {"turn_seconds": 5.0, "connect_seconds": 2.0, "backoff_seconds": 0.0, "wait_seconds": 5.0, "sync_seconds": 5.0}


class OneNumber(torch.nn.Module):
    """The double's model, trainable."""

    def __init__(self, adapter: bool = False) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.25))
        self.peft_config = {"default": None} if adapter else None
        self.generation_config = SimpleNamespace(eos_token_id=STOP)

    def forward(self, input_ids: torch.Tensor, use_cache: bool = True) -> Any:
        return SimpleNamespace(logits=torch.sin(self.weight * torch.arange(VOCABULARY) + input_ids[..., None]))

    def save_pretrained(self, folder: Path, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        save_file(state_dict or {"weight": self.weight.detach()}, folder / "adapter_model.safetensors")

    def become(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)


class Tokens:
    """Stands for tokenizer and renderer: both are asked for little here."""

    unk_token_id, eos_token_id = 0, STOP

    def convert_tokens_to_ids(self, token: str) -> int:
        return STOP

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        return [3 + ord(letter) % 60 for message in messages for letter in message["content"]][:12]


class Field:
    """Servers and policies of one test."""

    def __init__(self) -> None:
        self.thread = LoopThread("doubles")
        self.doubles: list[VllmDouble] = []
        self.policies: list[VllmServerPolicy] = []

    def double(self, behave: Callable[..., Any] | None = None) -> VllmDouble:
        double = VllmDouble() if behave is None else VllmDouble(behave)
        self.doubles.append(self.thread.run(double.start()))
        return double

    def settings(self, **options: Any) -> ServerSettings:
        return ServerSettings(**{"urls": tuple(double.url for double in self.doubles), **QUICK, **options})

    def policy(self, **options: Any) -> VllmServerPolicy:
        """Over all doubles so far; their weights never change."""
        tokens = Tokens()
        return self._keep(VllmServerPolicy(self.settings(**options), [STOP], tokens, tokens, version=7))

    def trained(self, model: OneNumber, **options: Any) -> VllmServerPolicy:
        """Over all doubles so far; follows a model."""
        tokens = Tokens()
        return self._keep(VllmServerPolicy.from_model(model, tokens, tokens, self.settings(**{"sync": "file", **options})))

    def _keep(self, policy: VllmServerPolicy) -> VllmServerPolicy:
        self.policies.append(policy)
        return policy

    def close(self) -> None:
        for policy in self.policies:
            policy.close()
        for double in self.doubles:
            self.thread.run(double.stop())
        self.thread.close()


def act(policy: VllmServerPolicy, prompts: list[list[int]], turns: int = 1, **sampling: Any) -> list[Sampled]:
    """Sessions at once, one per prompt; each takes `turns` turns, and the last is returned."""
    async def one(ids: list[int]) -> Sampled:
        session = policy.session(None)
        try:
            for turn in range(turns):
                sampled = await session.act([*ids, *[5] * turn], Sampling(max_tokens=4, **sampling))
            return sampled
        finally:
            await session.close()

    async def main() -> list[Sampled]:
        return await asyncio.gather(*(one(ids) for ids in prompts))

    return asyncio.run(main())


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that another thread does.

    Raises:
        TimeoutError: it does not come true.
    """
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(look(), seconds))
