"""A tokenizer that knows the words of the hand-made traces."""

from __future__ import annotations

from typing import Any

import pytest
from export_traces import BAD, GOOD, LOOK, QUESTION

from medcopilot.agent.render import ChatRenderer
from medcopilot.train.tokenizer import train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return train_tokenizer([QUESTION, LOOK, GOOD, BAD, "tables: patients"] * 4, 320)


@pytest.fixture(scope="session")
def renderer(tokenizer: Any) -> ChatRenderer:
    return ChatRenderer(tokenizer)
