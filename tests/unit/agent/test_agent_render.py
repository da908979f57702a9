"""Rendering: nobody forges a turn, nothing sampled is encoded again, and the real tokenizer agrees with its own template."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def byte_tokenizer(specials: list[str]) -> PreTrainedTokenizerFast:
    """One token per byte, plus special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, additional_special_tokens=specials)


RENDERER = ChatRenderer(byte_tokenizer(SPECIALS))


@given(st.lists(st.one_of(st.sampled_from(SPECIALS), st.text(max_size=8)), max_size=6).map("".join))
def test_text_from_outside_never_becomes_a_special_token(text):
    ids = RENDERER.encode(text)
    assert not {RENDERER.start, RENDERER.end} & set(ids)
    assert RENDERER.tokenizer.decode(ids) == text
    assert RENDERER.observation(text).count(RENDERER.start) == 2  # the observation's own and the next turn's


def test_trace_ids_grow_only_at_the_end_and_mask_covers_assistant_turns():
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a1"}, {"role": "user", "content": "obs"},
                {"role": "assistant", "content": "a2"}]
    ids, mask = RENDERER.trace(messages)
    live = RENDERER.prompt(messages[:1])
    for turn, observation in ((1, 2), (3, None)):
        live = [*live, *RENDERER.encode(messages[turn]["content"]), RENDERER.end]
        if observation is not None:
            live += RENDERER.observation(messages[observation]["content"])
    assert ids == live
    assert sum(mask) == len("a1") + 1 + len("a2") + 1
    assert len(mask) == len(ids)


def test_a_cut_turn_is_closed_before_the_observation():
    assert RENDERER.observation("x", closed=False) == [RENDERER.end, *RENDERER.observation("x", closed=True)]


def test_a_tokenizer_without_the_chat_format_is_refused_with_a_sentence():
    with pytest.raises(UserError, match=r"Qwen2\.5 chat format"):
        ChatRenderer(byte_tokenizer(["<|endoftext|>"]))


def qwen2_tokenizer():
    from transformers import AddedToken, Qwen2Tokenizer

    folder = Path(os.environ["MEDCOPILOT_FIXTURES"]) / "qwen2_tokenizer"
    tokenizer = Qwen2Tokenizer.from_pretrained(str(folder))
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken(t, special=True) for t in SPECIALS[1:]]})
    return tokenizer


@pytest.mark.fixtures
@pytest.mark.skipif("MEDCOPILOT_FIXTURES" not in os.environ, reason="MEDCOPILOT_FIXTURES is not set")
def test_real_qwen2_tokenizer_renders_as_its_own_text_does():
    tokenizer = qwen2_tokenizer()
    renderer = ChatRenderer(tokenizer)
    assert (renderer.start, renderer.end) == (151644, 151645)
    messages = [{"role": "system", "content": "You write code."}, {"role": "user", "content": "How many patients?\n37.5 °C"},
                {"role": "assistant", "content": '{"action":"submit","params":{"answer":12}}'}]
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    ids, _ = renderer.trace(messages)
    assert [*ids, *renderer.encode("\n")] == tokenizer(text, add_special_tokens=False)["input_ids"]
