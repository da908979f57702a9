"""`KvDecoder` on a GPU against the model itself and its `generate`."""

from __future__ import annotations

import pytest
import torch
from packed_rows import tiny

pytest.importorskip("pydantic")

from medcopilot.policies.kv_decoder import KvDecoder, Piece

pytestmark = pytest.mark.gpu
NEW = 20


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(3, 99, (length,), generator=generator).tolist() for length in (5, 17, 40, 9)]


@pytest.mark.parametrize("key_heads", [4, 2, 1])
def test_greedy_tokens_and_logprobs_are_those_of_generate(device: torch.device, key_heads: int) -> None:
    model = tiny(key_heads=key_heads).to(device).eval()
    decoder = KvDecoder(model, slots=4, capacity=16)
    found: list[list[int]] = [[] for _ in prompts()]
    tables: list[list[torch.Tensor]] = [[] for _ in prompts()]
    logits = decoder.extend([Piece(slot, 0, ids) for slot, ids in enumerate(prompts())])
    for step in range(NEW):
        tokens = logits.argmax(-1).tolist()
        for slot, token in enumerate(tokens):
            found[slot].append(token)
            tables[slot].append(logits[slot].log_softmax(-1))
        if step < NEW - 1:
            logits = decoder.decode(list(range(4)), tokens, [len(ids) + step for ids in prompts()])
    for slot, ids in enumerate(prompts()):
        given = torch.tensor([ids], device=device)
        said = model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                              output_logits=True, return_dict_in_generate=True, pad_token_id=0)
        assert found[slot] == said.sequences[0, len(ids):].tolist()
        expected = torch.cat(list(said.logits)).float().log_softmax(-1)
        torch.testing.assert_close(torch.stack(tables[slot]), expected, rtol=1e-3, atol=1e-3)


def test_turns_continue_where_the_cache_ends(device: torch.device) -> None:
    """Cut back, continued and copied, as conversations are; logprobs of a full forward pass."""
    model = tiny(key_heads=2).to(device).eval()
    decoder = KvDecoder(model, slots=2, capacity=16)
    first, _, more, _ = prompts()
    decoder.extend([Piece(0, 0, first)])
    decoder.copy(0, 1, len(first))
    found = decoder.extend([Piece(1, len(first), more), Piece(0, len(first) - 2, more)])
    whole = [model(torch.tensor([ids], device=device)).logits[0, -1] for ids in (first + more, first[:-2] + more)]
    torch.testing.assert_close(found.log_softmax(-1), torch.stack(whole).float().log_softmax(-1), rtol=1e-3, atol=1e-3)


def test_bfloat16_stays_near(device: torch.device) -> None:
    model = tiny(key_heads=2).to(device).eval()
    ids = prompts()[2]
    tables = [KvDecoder(model, slots=1, capacity=64, dtype=dtype).extend([Piece(0, 0, ids)]).log_softmax(-1)
              for dtype in (torch.float32, torch.bfloat16)]
    assert (tables[0] - tables[1]).abs().max() < 0.25
