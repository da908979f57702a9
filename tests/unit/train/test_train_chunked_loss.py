"""The chunked head: the plain computation's values and gradients, with one chunk of logits in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl.trainer.utils import add_fused_lm_head

from medcopilot.train import attention
from medcopilot.train.chunked_loss import _scales_logits, chunked_cross_entropy, chunked_logprobs, use_chunked_head
from medcopilot.train.packing import PackRows, prepare_attention
from medcopilot.train.sft import compact_loss

TOKENS, WIDTH, VOCABULARY = 37, 8, 53


def inputs(dtype: torch.dtype = torch.float32, tokens: int = TOKENS) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(tokens, WIDTH, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(0, VOCABULARY, (tokens,), generator=generator)


def plain(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, temperature: float
          ) -> tuple[torch.Tensor, torch.Tensor]:
    table = (hidden @ weight.t() / temperature).log_softmax(-1)
    return table.gather(-1, targets[:, None])[:, 0], -(table.exp() * table).sum(-1)


@pytest.mark.parametrize("chunk", [1, 5, 37, None])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("use", ["both", "logprobs", "entropy"])
def test_logprobs_and_entropy_agree_with_the_plain_ones(chunk: int | None, temperature: float, use: str) -> None:
    hidden, weight, targets = inputs()
    results = []
    for found in (chunked_logprobs(hidden, weight, targets, temperature, chunk=chunk), plain(hidden, weight, targets, temperature)):
        a, b = torch.linspace(-1, 2, TOKENS), torch.linspace(1, -3, TOKENS)
        total = (found[0] * a).sum() * (use != "entropy") + (found[1] * b).sum() * (use != "logprobs")
        results.append([*found, *torch.autograd.grad(total, (hidden, weight))])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("chunk", [5, None])
def test_cross_entropy_ignores_what_carries_no_loss(chunk: int | None) -> None:
    hidden, weight, targets = inputs()
    targets[::3] = -100
    loss, accuracy = chunked_cross_entropy(hidden, weight, targets, chunk=chunk)
    logits = hidden @ weight.t()
    expected = torch.nn.functional.cross_entropy(logits, targets)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    gradients = (torch.autograd.grad(value, (hidden, weight)) for value in (loss, expected))
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    kept = targets != -100
    assert accuracy == pytest.approx((logits.argmax(-1) == targets)[kept].float().mean().item())


def test_no_target_at_all_is_zero_and_differentiable() -> None:
    hidden, weight, _ = inputs()
    loss, _ = chunked_cross_entropy(hidden, weight, torch.full((TOKENS,), -100), chunk=5)
    loss.backward()
    assert loss.item() == 0
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_under_autocast_the_products_only_are_rounded() -> None:
    hidden, weight, targets = inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = chunked_logprobs(hidden, weight, targets, chunk=5)
        logits = (hidden @ weight.t()).float()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0])
    found.sum().backward()
    assert (hidden.grad.dtype, weight.grad.dtype) == (torch.float32, torch.float32)


class Largest(TorchDispatchMode):
    """The largest tensor that any operation hands back."""

    entries = 0

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor))])
        return result


def test_no_table_of_all_tokens_by_the_vocabulary_appears() -> None:
    hidden, weight, targets = inputs(tokens=640)
    with Largest() as chunked:
        logprobs, entropy = chunked_logprobs(hidden, weight, targets, chunk=64)
        (logprobs.sum() + entropy.sum()).backward()
    assert chunked.entries <= max(64 * VOCABULARY, hidden.numel())
    with Largest() as whole:
        plain(hidden, weight, targets, 1.0)[0].sum().backward()
    assert whole.entries == 640 * VOCABULARY


def tiny() -> Qwen2ForCausalLM:
    torch.manual_seed(1)
    return Qwen2ForCausalLM(Qwen2Config(
        vocab_size=99, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, intermediate_size=48,
        tie_word_embeddings=True, initializer_range=0.2))


def test_trl_gets_what_its_own_head_gives() -> None:
    """Tied embeddings included: the gradient of the shared matrix has both parts."""
    ids = torch.randint(0, 99, (2, 11), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :4] = -100
    labels[1, 8:] = -100
    results = []
    for ours in (False, True):
        model = tiny()
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
        if ours:
            use_chunked_head(model)
        out = model(input_ids=ids, labels=labels, fused_lm_head=True)
        (out.log_probs.sum() + out.entropy.sum()).backward()
        results.append((out, model.get_input_embeddings().weight.grad, model(input_ids=ids).logits))
    (theirs, their_grad, their_logits), (found, grad, logits) = results
    for name in ("loss", "log_probs", "entropy", "mean_logits", "is_top1", "label_mask"):
        torch.testing.assert_close(getattr(found, name), getattr(theirs, name), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(grad, their_grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits, their_logits)


@pytest.mark.parametrize("line", [False, True], ids=["one row", "packed"])
def test_a_long_row_needs_neither_the_square_nor_the_table(line: bool) -> None:
    """Forward and backward of a whole model under gradient checkpointing, on 3,000 tokens."""
    tokens, vocabulary = 3000, 2500
    model = Qwen2ForCausalLM(Qwen2Config(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=48, max_position_embeddings=4096, tie_word_embeddings=True)).train()
    model.gradient_checkpointing_enable()
    ids = torch.randint(0, vocabulary, (tokens,))
    batch: dict[str, Any] = {"input_ids": ids[None], "labels": ids[None]}
    if line:
        rows = [{"input_ids": part, "labels": part} for part in ids.split(1800)]
        batch = PackRows(0, prepare_attention(model, "auto", "cpu"))(rows)
    else:
        model.set_attn_implementation(attention.register())
    rest = {name: value for name, value in batch.items() if name not in ("input_ids", "labels")}
    with Largest() as seen:
        compact_loss(model, batch["input_ids"], batch["labels"], **rest)[0].backward()
    assert seen.entries <= 2**22 < min(tokens * vocabulary, tokens**2)


def test_heads_that_transform_their_logits_keep_theirs() -> None:
    assert _scales_logits(SimpleNamespace(final_logit_softcapping=30.0))
    assert not _scales_logits(Qwen2Config())
