"""Any causal language model through transformers' own `generate`, with the house's sampler inside.

Promises: same seeds, logprobs and stop rule as `slot_engine`, for every architecture that `generate` serves; requests that
wait together run together, padded on the left.
Does not cover: joining a running batch, or keeping a cache between turns; `slot_engine` (Qwen2) and vLLM do both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from medcopilot.policies.base import Sampled, Sampling
from medcopilot.policies.sampler import choose, uniforms

Request = tuple[int, list[int], Sampling]


class _Draw(LogitsProcessor):
    """Draws the token itself and leaves `generate`, which decodes greedily, only that one."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests
        self.ids: list[list[int]] = [[] for _ in requests]
        self.logprobs: list[list[float]] = [[] for _ in requests]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        settings = [sampling for _, _, sampling in self.requests]
        positions = [len(ids) + len(out) for (_, ids, _), out in zip(self.requests, self.ids, strict=True)]
        draws = uniforms([sampling.seed for sampling in settings], positions)
        ids, logprobs = choose(scores, [s.temperature for s in settings], [s.top_p for s in settings], draws)
        for row, (token, logprob) in enumerate(zip(ids, logprobs, strict=True)):
            self.ids[row].append(token)
            self.logprobs[row].append(logprob)
        only = torch.full_like(scores, float("-inf"))
        return only.scatter(-1, torch.tensor(ids, device=scores.device)[:, None], 0.0)


class GenerateEngine:
    """Batches of at most `batch` requests, each run to its end. One thread calls it."""

    def __init__(self, model: Any, stops: list[int], pad: int, max_length: int, batch: int = 32) -> None:
        self.model = model
        self.stops = stops
        self.pad = pad
        self.max_length = max_length
        self.batch = batch
        self.version = 0
        self._waiting: list[Request] = []

    def add(self, ticket: int, session: int, ids: list[int], sampling: Sampling) -> None:
        """Queue one request (ValueError: no room left in the model's context)."""
        if not 0 < len(ids) < self.max_length:
            raise ValueError(f"{len(ids)} tokens given; the model continues between 1 and {self.max_length - 1}")
        self._waiting.append((ticket, list(ids), sampling))

    def pending(self) -> int:
        """Requests that are not finished."""
        return len(self._waiting)

    def cancel(self, ticket: int) -> None:
        """Drop a request that still waits."""
        self._waiting = [request for request in self._waiting if request[0] != ticket]

    def forget(self, session: int) -> None:
        """Nothing is kept between turns."""

    def refresh(self, version: int) -> None:
        """The model is read live: only the version changes."""
        self.version = version

    @torch.no_grad()
    def step(self) -> list[tuple[int, Sampled]]:
        """Run one batch to its end."""
        requests, self._waiting = self._waiting[: self.batch], self._waiting[self.batch:]
        width = max(len(ids) for _, ids, _ in requests)
        room = [min(sampling.max_tokens, self.max_length - len(ids)) for _, ids, sampling in requests]
        rows = torch.tensor([[self.pad] * (width - len(ids)) + ids for _, ids, _ in requests])
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for _, ids, _ in requests])
        draw = _Draw(requests)
        config = GenerationConfig(do_sample=False, max_new_tokens=max(room), eos_token_id=self.stops, pad_token_id=self.pad)
        device = self.model.get_input_embeddings().weight.device
        training = self.model.training
        self.model.eval()
        try:
            self.model.generate(rows.to(device), attention_mask=mask.to(device), generation_config=config,
                                logits_processor=LogitsProcessorList([draw]))
        finally:
            self.model.train(training)
        return [(ticket, self._cut(draw.ids[row], draw.logprobs[row], room[row]))
                for row, (ticket, _, _) in enumerate(requests)]

    def _cut(self, ids: list[int], logprobs: list[float], room: int) -> Sampled:
        """Up to the first stop token or the limit: `generate` goes on until the slowest row ends."""
        end = next((n + 1 for n, token in enumerate(ids[:room]) if token in self.stops), room)
        finish = "stop" if ids[end - 1] in self.stops else "length"
        return Sampled(ids=ids[:end], logprobs=logprobs[:end], finish=finish, policy_version=self.version)
