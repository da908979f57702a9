"""The viewer's rows, without a browser."""

from __future__ import annotations

import pytest
from trace_factory import make_trace

from medcopilot.report.stage import read_stage
from medcopilot.runs import RunFolder
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
