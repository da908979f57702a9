"""Rows, a tiny model and what it makes of them, packed or one by one. Needs torch and transformers only: GPU tests share it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from medcopilot.train.chunked_loss import compact_loss

LENGTHS = (9, 31, 1, 2, 30, 64, 12)


def rows(sizes: tuple[int, ...] = LENGTHS) -> list[dict[str, torch.Tensor]]:
    """Random tokens; about half of them are trained, the first too (nothing may learn to predict it)."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in sizes:
        ids = torch.randint(3, 99, (size,), generator=generator)
        labels = torch.where(torch.rand(size, generator=generator) < 0.5, ids, -100)
        labels[0] = ids[0]
        found.append({"input_ids": ids, "labels": labels})
    return found


def tiny(heads: int = 4, key_heads: int = 4) -> Qwen2ForCausalLM:
    torch.manual_seed(1)
    return Qwen2ForCausalLM(Qwen2Config(
        vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=heads, num_key_value_heads=key_heads,
        intermediate_size=48, max_position_embeddings=128, tie_word_embeddings=True, initializer_range=0.2))


def outcome(model: Any, batches: list[dict[str, Any]], total: int) -> dict[str, torch.Tensor]:
    """The summed loss of some batches over `total`, and the gradients of all parameters; on the model's device."""
    model.zero_grad()
    device = model.device
    loss = torch.zeros((), device=device)
    for batch in batches:
        batch = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
        extra = {name: value for name, value in batch.items() if name not in ("input_ids", "labels")}
        part, _ = compact_loss(model, batch["input_ids"], batch["labels"], total, **extra)
        part.backward()
        loss = loss + part.detach()
    return {"loss": loss, **{name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}}


def alone(model: Any, data: list[dict[str, torch.Tensor]], total: int) -> dict[str, torch.Tensor]:
    """The same of each row by itself, with the library's own attention."""
    model.set_attn_implementation("eager")
    return outcome(model, [{name: value[None] for name, value in row.items()} for row in data], total)


def trained(data: list[dict[str, torch.Tensor]]) -> int:
    return sum(int((row["labels"][1:] != -100).sum()) for row in data)


def compare(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=tolerance, atol=tolerance,
                                   msg=lambda text, name=name: f"{name}: {text}")
