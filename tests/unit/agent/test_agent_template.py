"""Chat templates that change what they rendered are noticed when a run starts."""

from pathlib import Path

import pytest
import trl

from env.errors import UserError
from medcopilot.agent.render import ChatRenderer
from medcopilot.agent.template import TALK, broken_turn, settle_template
from medcopilot.train.tokenizer import CHAT_TEMPLATE, train_tokenizer

TEMPLATES = Path(trl.__file__).parent / "chat_templates"


def tokenizer(template: str | None):
    made = train_tokenizer([message["content"] for message in TALK], 300)
    made.chat_template = template
    return made


def shipped(name: str) -> str:
    return (TEMPLATES / f"{name}.jinja").read_text()


@pytest.mark.parametrize("template", [None, CHAT_TEMPLATE, shipped("qwen2_5")])
def test_templates_that_keep_every_turn(template: str | None) -> None:
    made = tokenizer(template)
    assert broken_turn(made) is None
    assert settle_template(made).chat_template == template


def test_qwen3s_drops_what_was_thought_and_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    made = tokenizer(shipped("qwen3"))
    made.name_or_path = "Qwen/Qwen3-test"
    assert broken_turn(made) == 4  # the observation after the turn that thinks
    assert broken_turn(settle_template(made)) is None
    assert capsys.readouterr().err.count("changes earlier turns") == 1
    ids, _ = ChatRenderer(made).trace(TALK[:3])
    text = made.apply_chat_template(TALK[:3], tokenize=False)
    assert made.decode(ids) + "\n" == text  # what is served is what was trained


def test_another_format_is_refused() -> None:
    class Foreign:
        chat_template, name_or_path = shipped("qwen3"), "some/model"

        def apply_chat_template(self, messages: list[dict[str, str]], tokenize: bool) -> str:
            return "".join(f"<{message['role']}>{message['content']}" for message in messages[-2:])

        def get_vocab(self) -> dict[str, int]:
            return {"<user>": 1}

    with pytest.raises(UserError, match="some/model: its chat template changes earlier turns"):
        settle_template(Foreign())


def test_a_template_that_cannot_render_is_refused() -> None:
    with pytest.raises(UserError, match="does not render a system message"):
        settle_template(tokenizer("{{ raise_exception('no system message here') }}"))
