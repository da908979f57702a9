"""The CPU attention computes what the library's does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medcopilot.train.attention import causal_bmm, register
from medcopilot.train.model import NanoShape, new_nano


def test_agrees_with_the_library_on_right_padded_batches(tokenizer: Any, tiny_shape: dict[str, int]) -> None:
    model = new_nano(tokenizer, NanoShape(**tiny_shape)).eval()
    ids = torch.randint(3, len(tokenizer), (3, 21))
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0
    model.set_attn_implementation("eager")
    expected = model(input_ids=ids, attention_mask=mask).logits
    model.set_attn_implementation(register())
    found = model(input_ids=ids, use_cache=False).logits
    real = mask.bool()
    torch.testing.assert_close(found[real], expected[real], rtol=1e-4, atol=1e-5)


def test_fewer_key_heads_are_repeated() -> None:
    query, key, value = torch.randn(2, 4, 7, 8), torch.randn(2, 2, 7, 8), torch.randn(2, 2, 7, 8)
    found, _ = causal_bmm(None, query, key, value, None, scaling=8**-0.5)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-6)


def test_what_it_does_not_serve_is_refused() -> None:
    x = torch.randn(1, 1, 4, 8)
    with pytest.raises(ValueError, match="right-padded"):
        causal_bmm(None, x[:, :, :1], x, x, None, scaling=1.0)
    with pytest.raises(ValueError, match="right-padded"):
        causal_bmm(None, x, x, x, torch.ones(1, 1, 4, 4), scaling=1.0)
