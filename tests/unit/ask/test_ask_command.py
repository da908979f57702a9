"""`ask` from question to answer, with a scripted policy and a stand-in sandbox, and the command's refusals."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from env.errors import AgreementError, UserError
from env.gym import Gym
from env.sandbox.base import BoxSpec, Execution, Program
from medcopilot import ask as asking
from medcopilot.cli import ask as command
from medcopilot.own_data import prepare_data
from medcopilot.policies.base import ChatReply

SQL = "SELECT count(*) FROM patients"


class Script:
    """A chat policy that says its lines one by one."""

    name, needs_privileged, local, renderer = "script", False, True, None
    kind: ClassVar[str] = "chat"

    def __init__(self, *lines: dict[str, Any] | str) -> None:
        self.lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.heard: list[str] = []

    def session(self, view, privileged=None):
        assert privileged is None
        return self

    async def act(self, messages, sampling):
        self.heard.append(messages[-1]["content"])
        return ChatReply(text=self.lines.pop(0) if self.lines else "no idea")

    async def close(self) -> None:
        """Nothing to release."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}


class Box:
    """Runs SQL directly: the sandbox has its own tests."""

    tier = "stand-in"

    def __init__(self, spec: BoxSpec) -> None:
        self.spec = spec

    def run(self, program: Program, limits=None, *, want_value: bool = False) -> Execution:
        assert program.language == "sql"
        (database,) = (mount.host for mount in self.spec.mounts if mount.name.endswith(".sqlite"))
        connection = sqlite3.connect(database)
        try:
            rows = [list(row) for row in connection.execute(program.source)]
        except sqlite3.Error as error:
            return Execution(status="error", exit_code=1, stderr=f"Error: {error}\n")
        finally:
            connection.close()
        text = "\n".join(" | ".join(map(str, row)) for row in rows) + "\n"
        return Execution(status="ok", exit_code=0, stdout=text, has_value=want_value, value=rows if want_value else None)

    def read_files(self, names, max_bytes):
        return {}

    def close(self) -> None:
        """Nothing to remove."""


class Backend:
    """Opens stand-in boxes."""

    name = tier = "stand-in"

    def open(self, spec: BoxSpec) -> Box:
        return Box(spec)

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def db(tmp_path) -> Path:
    path = tmp_path / "hospital.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE patients (id INT); INSERT INTO patients VALUES (1), (2), (3);")
    connection.close()
    return path


def play(db: Path, tmp_path: Path, policy: Script) -> asking.Answer:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    task = asking.build_task("How many patients?", prepare_data(db, work))
    gym = Gym(Backend())
    gym.add_folder(asking.DATASET, work)
    return asking.ask(task, policy, gym)


RUN = {"action": "code_execution", "params": {"code": SQL, "language": "sql"}}


def test_look_run_answer(db, tmp_path):
    policy = Script({"action": "request_info", "params": {}}, RUN, {"action": "submit", "params": {"answer": 3}})
    answer = play(db, tmp_path, policy)
    assert (answer.kind, answer.value, answer.program, answer.output) == ("answer", 3, SQL, "3")
    assert "How many patients?" in policy.heard[0]
    assert policy.heard[1:] == ["patients", "3"]
    assert answer.trace.grades["strict"].score is None


def test_a_submitted_program_is_run_for_its_answer(db, tmp_path):
    answer = play(db, tmp_path, Script({"action": "submit", "params": {"program": SQL, "language": "sql"}}))
    assert (answer.kind, answer.value, answer.program, answer.output, answer.note) == ("program", [[3]], SQL, "3", "")


def test_a_submitted_program_that_fails_says_so(db, tmp_path):
    answer = play(db, tmp_path, Script({"action": "submit", "params": {"program": "SELECT x", "language": "sql"}}))
    assert "status error" in answer.note
    assert "no such column" in answer.output


def test_abstaining_and_silence_are_told_apart(db, tmp_path):
    answer = play(db, tmp_path, Script({"action": "submit", "params": {"abstain": True}}))
    assert (answer.kind, answer.note) == ("abstain", "the agent says that this data cannot answer the question")
    answer = play(db, tmp_path, Script(RUN, *(f"no idea {i}" for i in range(14))))
    assert (answer.kind, answer.program) == ("none", SQL)
    assert "all its turns" in answer.note
    answer = play(db, tmp_path, Script(RUN))  # and then the same refused reply again and again
    assert (answer.trace.stop, len(answer.trace.turns)) == ("loop", 4)
    assert "repeated itself" in answer.note


def test_csv_folder_end_to_end(tmp_path):
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "patients.csv").write_text("id\n1\n2\n")
    answer = play(folder, tmp_path, Script(RUN, {"action": "submit", "params": {"answer": 2}}))
    assert answer.output == "2"


@pytest.fixture
def app(monkeypatch) -> typer.Typer:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the command sets it; put back afterwards
    monkeypatch.setattr("env.sandbox.open_backend", lambda name="auto": Backend(), raising=False)
    application = typer.Typer()
    application.command()(command.run)
    return application


def invoke(app: typer.Typer, *arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def test_the_command_shows_program_output_and_answer(app, db, tmp_path, monkeypatch):
    policy = Script(RUN, {"action": "submit", "params": {"answer": 3}})
    monkeypatch.setattr("medcopilot.policies.load_policy", lambda spec, **options: policy)
    out = tmp_path / "out.json"
    result = invoke(app, "How many patients?", "--db", str(db), "--checkpoint", str(tmp_path), "--profile", "full",
                    "--json", str(out), "--verbose")
    assert result.exit_code == 0, result.output
    for part in (SQL, "answer", "Not graded", "turn 1"):
        assert part in result.output
    record = json.loads(out.read_text())
    assert (record["answer"], record["program"], record["trace"]["stop"]) == (3, SQL, "submit")


def test_no_answer_is_exit_code_1(app, db, tmp_path, monkeypatch):
    monkeypatch.setattr("medcopilot.policies.load_policy", lambda spec, **options: Script())
    result = invoke(app, "How many?", "--db", str(db), "--checkpoint", str(tmp_path), "--profile", "full")
    assert result.exit_code == 1
    assert "No answer" in result.output


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "exactly one of --checkpoint"),
    (("--checkpoint", "c", "--endpoint", "http://127.0.0.1/v1"), "exactly one of --checkpoint"),
    (("--checkpoint", "/nonexistent/c"), "check the path"),
    (("--checkpoint", "expert"), "is not a checkpoint"),
    (("--endpoint", "http://127.0.0.1:1/v1"), "needs --model"),
    (("--endpoint", "https://api.example.com/v1", "--model", "m"), "add --allow-endpoint"),
    (("--checkpoint", "c", "--profile", "big"), "choose auto, full or nano"),
])
def test_bad_options_are_one_sentence(app, db, arguments, message, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    result = invoke(app, "How many?", "--db", str(db), *arguments)
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_a_checkpoint_without_tokenizer_is_refused(app, db, tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "model.safetensors").write_bytes(b"")
    result = invoke(app, "How many?", "--db", str(db), "--checkpoint", str(folder))
    assert isinstance(result.exception, UserError), result.exception
    assert "tokenizer" in str(result.exception)


def test_permitting_an_endpoint_does_not_override_an_agreement(app, db, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "none.yaml"))
    result = invoke(app, "How many?", "--db", str(db), "--endpoint", "https://api.example.com/v1", "--model", "m",
                    "--allow-endpoint", "--licence", "PhysioNet-credentialed")
    assert isinstance(result.exception, AgreementError)
