"""A tiny tokenizer and rows of a copying task, so that stages run in a second."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from medcopilot.agent.render import ChatRenderer
from medcopilot.train.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer

TINY_SHAPE = {"hidden": 32, "layers": 2, "heads": 2, "feed_forward": 48, "positions": 256}


def copying_episode(rng: random.Random) -> list[dict[str, str]]:
    """Question, wrong or right first program, observation, submission."""
    a, b = rng.randint(10, 99), rng.randint(10, 99)
    program = f"a={a}\nb={b}\nanswer=a+b"
    return [
        {"role": "user", "content": f"Dose {a} mg, then {b} mg.\nTotal?"},
        {"role": "assistant", "content": json.dumps({"action": "code_execution", "params": {"code": program}})},
        {"role": "user", "content": f"ok {a + b}"},
        {"role": "assistant", "content": json.dumps({"action": "submit", "params": {"program": program}})},
    ]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(0)
    texts = [message["content"] for _ in range(200) for message in copying_episode(rng)]
    folder = tmp_path_factory.mktemp("tokenizer") / "tiny"
    save_tokenizer(train_tokenizer(texts, 400), folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Any:
    return load_tokenizer(tokenizer_folder)


@pytest.fixture(scope="session")
def sft_rows(tokenizer: Any) -> list[dict[str, Any]]:
    rng = random.Random(1)
    renderer = ChatRenderer(tokenizer)
    rows = []
    for _ in range(40):
        ids, mask = renderer.trace(copying_episode(rng))
        rows.append({"input_ids": ids, "labels": [token if on else -100 for token, on in zip(ids, mask, strict=True)]})
    return rows


@pytest.fixture(scope="session")
def tiny_shape() -> dict[str, int]:
    return TINY_SHAPE
