"""The nano tokenizer: nothing is lost, numbers are spelled, special tokens cannot be forged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.train.tokenizer import END, PAD, SPECIALS, START, load_tokenizer, train_tokenizer

FIXTURE_IS_SAFE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
AWKWARD = [*SPECIALS, "\\n", "\n", "  ", "\t", "12.50", '{"action":"submit"}', "é", "\U0001f600", "\x00", "\r\n"]
text = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.sampled_from(AWKWARD)).map("".join)


@FIXTURE_IS_SAFE
@given(text)
def test_any_text_survives(tokenizer: Any, value: str) -> None:
    ids = ChatRenderer(tokenizer).encode(value)
    assert tokenizer.decode(ids) == value
    assert not set(ids) & set(tokenizer.convert_tokens_to_ids(list(SPECIALS)))


@FIXTURE_IS_SAFE
@given(st.from_regex(r"[a-z ]{0,5}[0-9]{1,8}[.,]?[0-9]{0,5}[a-z \n]{0,5}", fullmatch=True))
def test_every_digit_is_its_own_token(tokenizer: Any, value: str) -> None:
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode(value, add_special_tokens=False)]
    assert all(len(piece) == 1 for piece in pieces if any(char.isdigit() for char in piece))


def test_escaped_and_real_newlines_are_single_tokens(tokenizer: Any) -> None:
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode("a=1\\nb=2\nanswer", add_special_tokens=False)]
    assert "\\n" in pieces
    assert "\n" in pieces


def test_frequent_phrases_cross_spaces(tokenizer: Any) -> None:
    pieces = [tokenizer.decode([token]) for token in tokenizer.encode(" mg, then ", add_special_tokens=False)]
    assert pieces == [" mg, then "]


def test_roles_and_chat_template_follow_qwen(tokenizer: Any) -> None:
    assert (tokenizer.pad_token, tokenizer.eos_token) == (PAD, END)
    assert tokenizer.convert_tokens_to_ids(list(SPECIALS)) == [0, 1, 2]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == f"{START}system\ns{END}\n{START}user\nhi{END}\n{START}assistant\n"
    assert tokenizer.encode(rendered, add_special_tokens=False) == ChatRenderer(tokenizer).prompt(messages)


def test_same_texts_give_the_same_vocabulary() -> None:
    texts = ["weight 70 kg and height 170 cm", "weight 80 kg"] * 5
    assert train_tokenizer(texts, 300).get_vocab() == train_tokenizer(reversed(texts), 300).get_vocab()


def test_boilerplate_does_not_eat_the_vocabulary() -> None:
    boilerplate = "always the same instruction " * 8
    texts = [boilerplate] * 5000 + [f"rare word {chr(97 + i % 26)}{chr(97 + i // 26)} follows" for i in range(600)]
    longest = max(len(token) for token in train_tokenizer(texts, 400, max_token_chars=24).get_vocab())
    assert longest <= 24
    assert " follows" in "".join(train_tokenizer(texts, 400).get_vocab()).replace("Ġ", " ")


def test_a_word_is_the_same_tokens_wherever_it_stands() -> None:
    """Super-words of boilerplate must not split a value one way in the question and another in the program."""
    drugs = [start + end for start in ("lora", "meto", "cefa", "hydra", "propo") for end in ("zepam", "prolol", "zolin", "lazine")]
    texts = [line for drug in drugs for line in (f"How was {drug} given to her?", f"select route from t where drug = '{drug}'")]
    tokenizer = train_tokenizer(texts * 9, 360)
    for drug in drugs:
        alone = tokenizer.encode(drug, add_special_tokens=False)
        for text in (f"Was {drug} given?", f"where drug = '{drug}'", f"({drug})"):
            ids = tokenizer.encode(text, add_special_tokens=False)
            assert any(ids[start:start + len(alone)] == alone for start in range(len(ids))), text


def test_refusals_name_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 259"):
        train_tokenizer(["text"], 100)
    with pytest.raises(UserError, match="no text"):
        train_tokenizer([], 400)
    with pytest.raises(UserError, match="no tokenizer in this folder"):
        load_tokenizer(tmp_path)
    with pytest.raises(UserError, match="no such tokenizer folder"):
        load_tokenizer(tmp_path / "missing")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_tokenizer(tmp_path)
