"""What is wrong with a path or a file that somebody names is one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import json
import os

import pytest
from trace_factory import make_run

from env.errors import UserError
from medcopilot.cli.main import main
from medcopilot.policies.openai_api import OpenAIPolicy
from medcopilot.prices import load_prices
from medcopilot.runs import RunFolder


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run", {"policy": "nano", "datasets": ["mimic_iii"]})
    with folder.writer() as writer:
        for trace in make_run(0.5, tasks=4):
            writer.write(trace)
    return folder.path


@pytest.mark.parametrize("words", [
    ["eval", "RUN", "--json", "/proc/x.json"], ["eval", "RUN", "--resamples", "100", "--json", "FILE/x.json"],
    ["report", "RUN", "--out", "/dev/null/x.html"], ["report", "RUN", "--out", "FOLDER"],
    ["leaderboard", "LIST", "--tables-only", "--set", "out=FILE/x"], ["compare", "RUN", "OTHER", "--json", "FOLDER"],
    ["eval", "RUN", "--json", "x" * 300]])
def test_a_place_that_cannot_be_written(words, run, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "list.yaml").write_text(f"out: x\nentries: [{{name: a, run: {run}}}]\n")
    other = RunFolder.create(tmp_path / "other", {})
    with other.writer() as writer:
        writer.write(make_run(0.5, tasks=1)[0])
    places = {"RUN": "run", "FILE": "file", "FOLDER": "folder", "LIST": "list.yaml", "OTHER": "other"}
    monkeypatch.chdir(tmp_path)
    for word, name in places.items():
        words = [text.replace(word, name) for text in words]
    monkeypatch.setattr("sys.argv", ["medcopilot", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert said.startswith("medcopilot: ")
    assert said.count("\n") == 0


def test_a_mistake_of_ours_stays_a_traceback(monkeypatch):
    def broken():
        raise OSError(9, os.strerror(9))

    monkeypatch.setattr("medcopilot.cli.main.app", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main()


def test_records_of_another_shape(run):
    (run / "summary.json").write_text("[1]")
    RunFolder(run).write_summary({"a": 1})
    assert json.loads((run / "summary.json").read_text()) == {"a": 1}
    (run / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="holds no settings"):
        _ = RunFolder.open(run).config
    (run / "digest").write_text("other")
    with pytest.raises(UserError, match="cannot be read"):
        RunFolder.create(run, {"policy": "other"})


def test_prices_that_are_no_text(tmp_path):
    (tmp_path / "prices.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UserError, match="not YAML"):
        load_prices(tmp_path / "prices.yaml")


@pytest.mark.parametrize("url", ["http://[::1", "http://localhost:99999/v1", "http://localhost:x/v1", "ftp://localhost/v1", "http://"])
def test_addresses_that_are_none(url):
    with pytest.raises(UserError, match="is not an address"):
        OpenAIPolicy(url, "m")
