"""Synthetic episodes whose programs show whether they are right, and a tokenizer fitted to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medcopilot.agent.render import ChatRenderer
from medcopilot.trace import GradeRecord, Trace, Turn
from medcopilot.train.tokenizer import save_tokenizer, train_tokenizer

QUESTION = "Dose {a} mg, then {b} mg.\nTotal?"


def make_trace(identity: str, *turns: Turn, answer: Any = 3, success: bool | None = True, **fields: Any) -> Trace:
    score = None if success is None else float(success)
    grade = GradeRecord(score=score, label="correct" if success else "wrong", detail="KEY is 3", error="")
    submit = Turn(reply="{}", action="submit", params={"answer": answer}, observation="Submitted.")
    base: dict[str, Any] = {
        "id": identity, "task_id": "t1", "dataset": "medcalcbench", "category": "CATEGORY", "template": "TEMPLATE",
        "split": "train", "slice": "train", "cluster": "CLUSTER", "licence": "synthetic", "policy": "POLICY",
        "messages": [{"role": "system", "content": "SYSTEM"}, {"role": "user", "content": QUESTION.format(a=1, b=2)},
                     {"role": "assistant", "content": "{}"}, {"role": "user", "content": "LATER"}],
        "turns": [*turns, submit], "stop": "submit", "submission": {"kind": "answer", "answer": answer},
        "grades": {"strict": grade, "paper": grade}}
    return Trace(**{**base, **fields})


def make_turn(code: str, observation: str, **fields: Any) -> Turn:
    return Turn(**{"reply": "{}", "action": "code_execution", "params": {"code": code}, "observation": observation, **fields})


def make_traces(tasks: int = 40, seed: int = 0) -> list[Trace]:
    """Every task solved twice, with +, and failed twice, with other signs."""
    rng = random.Random(seed)
    traces = []
    for number in range(tasks):
        a, b = rng.randint(10, 99), rng.randint(10, 99)
        results = {"+": a + b, "-": a - b, "*": a * b}
        for sample, (sign, style) in enumerate([("+", "print(a{}b)"), ("+", "t=a{}b\nprint(t)"), ("-", "print(a{}b)"),
                                                ("*", "t=a{}b\nprint(t)")]):
            value = results[sign]
            turn = make_turn(f"a={a};b={b}\n" + style.format(sign), str(value))
            traces.append(make_trace(
                f"{number}-{sample}", turn, answer=value, success=sign == "+",
                task_id=f"t{number}", dataset=("medcalcbench", "mimic_iii")[number % 2],
                messages=[{"role": "user", "content": QUESTION.format(a=a, b=b)}]))
    return traces


@pytest.fixture
def trace_of() -> Callable[..., Trace]:
    return make_trace


@pytest.fixture
def turn_of() -> Callable[..., Turn]:
    return make_turn


@pytest.fixture(scope="session")
def traces() -> list[Trace]:
    return make_traces()


@pytest.fixture(scope="session")
def tokenizer(traces: list[Trace]) -> Any:
    texts = [text for trace in traces for text in (trace.messages[0]["content"], trace.turns[0].params["code"])]
    return train_tokenizer([*texts, "code_execution", "result", "submit answer", "YES or NO?"] * 2, 400)


@pytest.fixture(scope="session")
def renderer(tokenizer: Any) -> ChatRenderer:
    return ChatRenderer(tokenizer)


@pytest.fixture(scope="session")
def tokenizer_folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verifier") / "tokenizer"
    save_tokenizer(tokenizer, folder)
    return folder
