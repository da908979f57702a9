"""From messages to token ids, so that nobody can forge a turn and nothing sampled is encoded again.

Promises: the Qwen2.5 chat format (`<|im_start|>role\\ncontent<|im_end|>\\n`); text from outside (questions, observations) is
encoded with special tokens disabled, so a program that prints `<|im_end|>` yields ordinary characters; a conversation grows
only at its end: ids so far + sampled ids + encoded observation.
Does not cover: chat formats without `<|im_start|>` / `<|im_end|>` (refused with a sentence).
"""

from __future__ import annotations

import copy
from typing import Any

from env.errors import UserError

START, END = "<|im_start|>", "<|im_end|>"


class ChatRenderer:
    """Renders conversations for one tokenizer (a fast transformers tokenizer with the Qwen2.5 special tokens)."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        missing = [token for token in (START, END) if token not in vocabulary]
        if missing:
            name = getattr(tokenizer, "name_or_path", "") or "this checkpoint"
            raise UserError(f"the tokenizer of {name} lacks {' and '.join(missing)}: use a checkpoint with the Qwen2.5 chat format")
        self.start: int = vocabulary[START]
        self.end: int = vocabulary[END]
        self._plain = copy.deepcopy(tokenizer.backend_tokenizer)
        self._plain.encode_special_tokens = True
        self._newline = self.encode("\n")

    def encode(self, text: str) -> list[int]:
        """Ids of plain text; special tokens in it are spelled out, never recognised."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: list[int]) -> str:
        """Text of a sampled turn, without its end-of-turn token."""
        if ids and ids[-1] == self.end:
            ids = ids[:-1]
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def message(self, role: str, content: str) -> list[int]:
        """Ids of one whole message."""
        return [self.start, *self.encode(f"{role}\n{content}"), self.end, *self._newline]

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of messages from outside, ending where the policy's first turn begins."""
        ids = [token for message in messages for token in self.message(message["role"], message["content"])]
        return ids + self._opening()

    def observation(self, text: str, *, closed: bool = True) -> list[int]:
        """Ids between two turns of the policy. `closed`: the sampled turn ended with `<|im_end|>` itself."""
        before = [] if closed else [self.end]
        return before + self._newline + self.message("user", text) + self._opening()

    def trace(self, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
        """Ids and mask of a conversation that was not sampled as tokens (the expert's, an endpoint's).

        Assistant turns get mask 1, their `<|im_end|>` included; everything else 0. Both lists have one entry per token.
        """
        first = next((i for i, message in enumerate(messages) if message["role"] == "assistant"), len(messages))
        ids = self.prompt(messages[:first])
        mask = [0] * len(ids)
        for position in range(first, len(messages)):
            message = messages[position]
            if message["role"] == "assistant":
                turn = [*self.encode(message["content"]), self.end]
                ids += turn
                mask += [1] * len(turn)
            else:
                between = self.observation(message["content"])
                ids += between
                mask += [0] * len(between)
        return ids, mask

    def _opening(self) -> list[int]:
        return [self.start, *self.encode("assistant\n")]
