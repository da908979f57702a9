"""Frames of `medcopilot watch`: every width, little height, hostile text, no terminal."""

from __future__ import annotations

import io
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from medcopilot.cli.main import app
from medcopilot.watch.draw import ASCII, UNICODE, bar, clock, glyphs, plain, sparkline
from medcopilot.watch.page import frame
from medcopilot.watch.state import RunReader


def shown(run, width=80, height=None, terminal=True, after=0.0) -> str:
    console = Console(width=width, height=height or 60, file=io.StringIO(), force_terminal=terminal, color_system=None)
    console.print(frame(RunReader(run.folder).read(run.now + after), console, height))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 99, 120, 200])
def test_a_frame_fits_its_width_and_says_what_matters(run, width) -> None:
    text = shown(run, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    for words in ("✔ sft", "▶ grpo", "25%", "4:55 left", "35.0 %", "zero variance", "infra. errors", "1,234", "rollout wait", "60%",
                  "environment", "EngineError", "sample trajectories of step 10", "How old is she?"):
        assert words in text


@pytest.mark.parametrize("height", [16, 20, 24, 40])
@pytest.mark.parametrize("width", [80, 120])
def test_a_frame_fits_the_height_of_a_terminal(run, width, height) -> None:
    text = shown(run, width, height)
    assert len(text.splitlines()) <= max(height, 18)  # below that, the end of the page is cut by the terminal
    assert "4:55 left" in text


def test_text_of_trajectories_is_neither_markup_nor_control(run) -> None:
    text = shown(run)
    assert "select [red]age[/red]\\u001b[2J from patients" in text
    assert "\x1b" not in text
    assert "[bold]gone" in text


def test_a_stopped_stage_says_how_to_go_on(run) -> None:
    assert "stopped 1:23:25 ago: run again to restart" in shown(run, 60, after=5000)
    run.work("grpo", resumable=True)
    assert "stopped 1:23:25 ago: run again to resume" in shown(run, 60, after=5000)


def test_a_run_of_an_older_version_is_shown_with_what_it_has(run) -> None:
    run.metrics("grpo", [{"step": step, "seconds": 2.0 * step, "loss": 0.1, "time/rollout": 3.0, "time/update": 1.0}
                         for step in (1, 2, 3)])
    text = shown(run)
    assert "75%" in text
    assert "left" not in text


@pytest.mark.parametrize("rows", [[], [{"step": 1}], [{"step": 1, "seconds": 0.0, "progress": 0.0, "loss": math.nan}],
                                  [{"step": 1, "loss": math.inf, "time/wait": 0.0, "time/update": 0.0}]])
def test_little_or_odd_data_still_makes_a_frame(run, rows) -> None:
    run.metrics("grpo", rows)
    assert "grpo" in shown(run)


def test_outside_a_terminal_restricted_samples_stay_away(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(tmp_path / "agreements.yaml"))
    assert "How old is she?" in shown(run, terminal=False)
    path = run.folder / "samples" / "grpo" / "step-10.md"
    path.write_text(path.read_text().replace('"synthetic"', '"PhysioNet-credentialed"'))
    assert "How old is she?" in shown(run)
    held = shown(run, terminal=False)
    assert "How old is she?" not in held
    assert "log_export" in held


def test_the_command_prints_one_frame_or_json_and_refuses_in_one_sentence(run, tmp_path) -> None:
    runner = CliRunner()
    page = runner.invoke(app, ["watch", str(run.folder), "--once"])
    assert page.exit_code == 0, page.output
    assert "grpo, step 10" in page.output
    only = runner.invoke(app, ["watch", str(run.folder), "--once", "--stage", "sft"])
    assert "✔ sft" in only.output
    assert "grpo" not in only.output
    document = json.loads(runner.invoke(app, ["watch", str(run.folder), "--once", "--json"]).output)
    assert [stage["name"] for stage in document["stages"]] == ["sft", "grpo"]
    refused = runner.invoke(app, ["watch", str(tmp_path / "nowhere")])
    assert "is not a folder" in str(refused.exception)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=200), st.integers(0, 80))
def test_sparklines_are_never_wider_than_asked_for(values, width) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(UNICODE.levels + " ")


def test_sparklines_go_from_the_lowest_to_the_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 7, 7], 2) == "▁█"
    assert sparkline([3.0] * 5, 5) == "▁" * 5
    assert sparkline([1.0, math.nan, 2.0], 3) == "▁ █"


@given(st.floats(0, 1), st.integers(1, 60), st.sampled_from([UNICODE, ASCII]))
def test_bars_fit_and_something_is_never_nothing(share, width, signs) -> None:
    drawn = bar(share, width, signs)
    assert len(drawn) <= width
    assert bool(drawn) == (share > 0)
    assert bar(1.0, width, signs) == signs.full * width


def test_numbers_and_times() -> None:
    assert [clock(seconds) for seconds in (None, 7, 750, 11_100, 190_000)] == ["–", "0:07", "12:30", "3:05:00", "2 d 04:46"]
    assert [plain(value) for value in (0, 0.5, -0.5, 3.14159, 42.42, 12345.6, 1e-5)] == ["0", "0.5000", "-0.5000", "3.14", "42.4",
                                                                                         "12,346", "1.0e-05"]
    assert glyphs("utf-8") is UNICODE
    assert glyphs("ascii") is ASCII
