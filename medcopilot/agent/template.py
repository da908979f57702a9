"""Whether a tokenizer's own chat template keeps what it has rendered, and what is done where it does not.

Promises: `settle_template` renders a conversation turn by turn; every rendering must begin with the one before it, as our own does
(`agent.render`). A template that changes earlier turns, as Qwen3's does (it drops what was thought before the last question), would
show a served policy other tokens than those that it was trained on: where the format has `<|im_start|>` and `<|im_end|>` our own
template takes its place, in the checkpoints that training writes too, and that is said; any other format is refused.
Does not cover: what an endpoint does with messages that it is sent (`policies.openai_api`).
"""

from __future__ import annotations

import sys
from typing import Any

from env.errors import UserError
from medcopilot.agent.render import END, START
from medcopilot.train.tokenizer import CHAT_TEMPLATE

TALK = [
    {"role": "system", "content": "You write code."},
    {"role": "user", "content": "How many patients?"},
    {"role": "assistant", "content": "<think>\ncount the rows\n</think>\n\n{\"action\": \"code_execution\"}"},
    {"role": "user", "content": "12"},
    {"role": "assistant", "content": "{\"action\": \"submit\"}"},
    {"role": "user", "content": "accepted"},
]
"""A turn that thinks, and one that does not."""


def broken_turn(tokenizer: Any) -> int | None:
    """The number of messages after which the template no longer begins with what it rendered before; None: it keeps everything.

    A tokenizer without a template has nothing to break.

    Raises:
        UserError: the template cannot render a plain conversation.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    before = ""
    for count in range(2, len(TALK) + 1):
        try:
            now: str = tokenizer.apply_chat_template(TALK[:count], tokenize=False)
        except Exception as error:  # templates raise whatever they like
            raise UserError(f"{_name(tokenizer)}: its chat template does not render a system message and turns in order "
                            f"({type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}): use another "
                            "checkpoint, or remove its chat_template") from None
        if not now.startswith(before):
            return count
        before = now
    return None


def settle_template(tokenizer: Any) -> Any:
    """The tokenizer, with our own template where its own does not keep earlier turns.

    Raises:
        UserError: it does not, and ours would not fit its format.
    """
    turn = broken_turn(tokenizer)
    if turn is None:
        return tokenizer
    vocabulary = tokenizer.get_vocab()
    if START not in vocabulary or END not in vocabulary:
        raise UserError(f"{_name(tokenizer)}: its chat template changes earlier turns when message {turn} is added, so a later "
                        "turn would not show what was sampled, and it lacks the <|im_start|> and <|im_end|> that our own template "
                        "needs: use a checkpoint whose template keeps earlier turns")
    tokenizer.chat_template = CHAT_TEMPLATE
    if _name(tokenizer) not in _TOLD:
        _TOLD.add(_name(tokenizer))
        print(f"{_name(tokenizer)}: its chat template changes earlier turns; trained and saved with one that keeps them",
              file=sys.stderr)
    return tokenizer


_TOLD: set[str] = set()
"""Names that this process has spoken of: actor, critic and reference are loaded one after the other."""


def _name(tokenizer: Any) -> str:
    return getattr(tokenizer, "name_or_path", "") or "this tokenizer"
