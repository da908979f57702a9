"""The viewer's rows, without a browser."""

from __future__ import annotations

import pytest
from trace_factory import make_trace

from medcopilot.report.stage import read_stage
from medcopilot.runs import RunFolder
from medcopilot.trace import Turn
from medcopilot.view.runs import ViewedRun
from medcopilot.view.server import Viewer


def question(word):
    return [{"role": "user", "content": f"How many {word}?"}]


@pytest.fixture
def run(tmp_path):
    """Two episodes were masked and played again, one of them by another writer."""
    folder = RunFolder.create(tmp_path / "run", {"policy": "nano"})
    masked = {"stop": "infrastructure", "turns": [], "tokens": None, "submission": None}
    with folder.writer("main") as writer:
        writer.write(make_trace(None, id="first", messages=question("ghosts"), **masked))
        writer.write(make_trace(True, id="good", messages=question("stays")))
        writer.write(make_trace(None, id="second", messages=question("ghosts"), **masked))
        writer.write(make_trace(True, id="second", messages=question("visits")))
        writer.write(make_trace(False, id="last", messages=question("drugs")))
    with folder.writer("other") as writer:
        writer.write(make_trace(True, id="first", messages=question("visits")))
    return folder.path


def test_words_are_found_in_the_episodes_that_hold_them(run):
    viewed = ViewedRun(run)
    viewed.prepare()

    def found(text):
        return {row["id"] for row in viewed.rows({"text": text}, 0, 10)["rows"]}

    assert found("How many") == {"first", "good", "second", "last"}
    assert found("visits") == {"first", "second"}
    assert found("drugs") == {"last"}
    assert found("ghosts") == set(), "only attempts that count no more hold it"


@pytest.fixture
def lookup(tmp_path):
    """A search of one episode that has a bit of everything."""
    folder = RunFolder.create(tmp_path / "odd", {"policy": "nano"})
    turn = Turn(reply='{"action":"code_execution","params":{"code":"print(\\"ward\\")\\nnext"}}', action="code_execution",
                params={"code": 'print("ward")\nnext', "why": {"deep": ["nested words"]},
                        "odd": [{"x": [1], "tokens": {"ids": []}}]},
                observation="größer als\nnought C:\\new", guard="You said that before.",
                execution={"status": "killed", "exit_code": 9}, problem="not_allowed")
    with folder.writer() as writer:
        writer.write(make_trace(True, id="odd", turns=[turn], category="secret category",
                                submission={"kind": "answer", "answer": 77},
                                messages=[{"role": "system", "content": "Rules."}, {"role": "user", "content": "How many?"}]))
        writer.write(make_trace(True, id="plain", messages=question("wards")))
        writer.write(make_trace(None, id="masked", messages=question("beds"), stop="infrastructure", turns=[], tokens=None,
                                submission=None, error="ServerError: 502 \"Bad Gateway\"\nno upstream"))
    viewed = ViewedRun(folder.path)
    viewed.prepare()
    return lambda text: {row["id"] for row in viewed.rows({"text": text}, 0, 10)["rows"]}


@pytest.mark.parametrize("text", ["rules.", "HOW MANY?", 'print("ward")', "nested words", "größer als", "said that before",
                                  "nought", "c:\\new", 'params":{', "code_execution", "ward", "w", "next"])
def test_what_was_said_and_printed_is_found(lookup, text):
    assert "odd" in lookup(text)


@pytest.mark.parametrize("text", ["bad gateway", '502 "', "no upstream", "servererror"])
def test_the_failure_that_masked_an_episode_is_found(lookup, text):
    assert lookup(text) == {"masked"}


@pytest.mark.parametrize("text", ["logprobs", "mask", "-0.1", "generate_seconds", "observation", "content", "system", "exit_code",
                                  "killed", "not_allowed", "secret category", "77", "strict", "nnought", "nno up",
                                  "prompt_tokens", 'new"'])
def test_names_of_fields_numbers_and_escapes_are_not(lookup, text):
    assert lookup(text) == set()


def test_a_report_shows_no_attempt_that_was_played_again(run):
    stage = read_stage("run", run, 10, 0)
    assert len(stage.columns) == 4
    assert sorted(outcome for (_, outcome), traces in stage.picker.kept().items() if traces) == ["failure", "success"]


@pytest.mark.parametrize("start", ["9" * 30, "-5", "x", ""])
def test_odd_numbers_are_answered(run, start):
    with Viewer([run]) as viewer:
        viewer.runs[0].prepare()
        answer = viewer.answer("/api/rows", {"start": start})
    assert answer is None or isinstance(answer["total"], int)
