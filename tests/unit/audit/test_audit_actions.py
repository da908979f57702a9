"""Replies that used to end a run, or to stall it: each is a typed refusal, quickly."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from env.actions import parse_action
from env.episode import Episode
from env.errors import ActionError
from env.explain import GroundedExplainer
from env.sandbox.base import Execution, Mount, Program
from env.sandbox.layout import hidden_folders
from env.task import TaskView
from medcopilot.trace import Turn


def submit(answer: str) -> str:
    return '{"action":"submit","params":{"answer":' + answer + "}}"


@pytest.mark.parametrize("answer", ["1" * 5000, "NaN", "-Infinity", "1e999", "[" * 300 + "]" * 300, '"\\ud800"', '{"\\ud800":1}',
                                    "9" * 100, "[" * 2000 + "]" * 2000])
def test_answers_that_are_no_plain_data_are_told_back(answer: str) -> None:
    with pytest.raises(ActionError) as refused:
        parse_action(submit(answer))
    str(refused.value).encode()  # the agent can be told


@pytest.mark.parametrize("params", ['{"program":"\\ud83d"}', '{"files":["\\ud83d"]}', '{"answer":1,"\\ud83d":2}'])
def test_text_that_no_file_can_hold_is_told_back(params: str) -> None:
    """A trace with half of an emoji could not be written, which would end the whole run."""
    with pytest.raises(ActionError, match="surrogate") as refused:
        parse_action('{"action":"submit","params":' + params + "}")
    assert refused.value.kind == "schema"
    assert parse_action('{"action":"submit","params":{"program":"\\ud83d\\ude00"}}').params.program == "\U0001f600"


@pytest.mark.parametrize("text", ['{"action":"\\ud800"}', '{"action":"submit","params":{"\\ud800":1}}',
                                  '{"action":"' + "x" * 9000 + '"}'])
def test_refusals_are_short_valid_text(text: str) -> None:
    with pytest.raises(ActionError) as refused:
        parse_action(text)
    assert len(str(refused.value).encode()) < 400


@pytest.mark.parametrize("text", ["```" + "\n" * 30_000, "```" + "a" * 30_000, "{" * 40_000, '{"":' * 10_000,
                                  '{"":[' * 10_000 + '"action"', '{"action":"' * 4_000, '"""' * 10_001 + "{", "`" * 30_000])
def test_no_reply_stalls_the_parser(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ActionError):
        parse_action(text)
    assert time.process_time() - start < 2.0


def test_an_action_after_a_program_in_prose_is_still_found() -> None:
    prose = "d = {}\n" + "\n".join(f"x = {{'k{n}': {n}}}" for n in range(200))
    assert parse_action(prose + submit("3")).params.answer == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("answer", [{"a": [1, 2.5, None, "µ"]}, [[]], "x" * 1000])
def test_every_accepted_answer_can_be_recorded(answer: Any) -> None:
    action = parse_action(submit(json.dumps(answer)))
    turn = Turn(reply="r", params=action.params.model_dump(mode="json", exclude_unset=True))
    assert json.loads(turn.model_dump_json())["params"]["answer"] == answer


def test_a_failing_explainer_does_not_end_the_episode() -> None:
    class Broken:
        def explain(self, program: Program, execution: Execution, mounts: tuple[Mount, ...]) -> str:
            raise OverflowError("too large")

    class Box:
        tier = "fake"

        def run(self, *_: Any, **__: Any) -> Execution:
            return Execution(status="error", exit_code=1, stderr="x")

        def close(self) -> None:
            return

    episode = Episode(TaskView(dataset="d", family="calc", question="q"), Box, (), explainer=Broken())  # type: ignore[arg-type]
    seen = episode.step('{"action":"debugging","params":{"code":"1/0"}}')
    assert seen.text.startswith("No explanation")
    assert not seen.ended


@pytest.mark.parametrize("condition", ["a = 99999999999999999999999", "a > -1e999", f"a = {10**400}",
                                       " and ".join(["a = 1"] * 800), f"a in ({','.join(map(str, range(5000)))})"])
@pytest.mark.parametrize("language", ["sql", "python"])
def test_constants_of_any_size_are_explained(tmp_path: Path, condition: str, language: str) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "d.sqlite") as database:
        database.execute("create table t(a int)")
        database.execute("insert into t values (1)")
    database.close()
    source = f"select * from t where {condition}"
    program = Program(source=source if language == "sql" else f"print(c.execute({source!r}).fetchall())", language=language)  # type: ignore[arg-type]
    start = time.process_time()
    mounts = (Mount(name="d.sqlite", host=tmp_path / "d.sqlite"),)
    assert GroundedExplainer().explain(program, Execution(status="ok", stdout="(no rows)\n"), mounts)
    assert time.process_time() - start < 6.0


def test_our_packages_are_covered_where_they_are_installed() -> None:
    import env

    home = Path(env.__file__).resolve().parents[1]
    assert {str(home / name) for name in ("env", "rewards", "medcopilot")} <= set(hidden_folders([str(home)]))
