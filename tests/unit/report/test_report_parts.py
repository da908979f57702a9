"""The parts of the page: untrusted text, the choice of episodes, curves, numbers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_factory import make_run, make_trace

from medcopilot.report import metrics, scaling, sections
from medcopilot.report.format import duration, interval, percent, points
from medcopilot.report.plots import Dot, curve_plot, rate_plot, share_plot, split_plot
from medcopilot.report.provenance import flatten
from medcopilot.report.text import action_parts, highlight, one_line, prose, visible
from medcopilot.report.trajectories import Picker, share_out


def test_hidden_characters_are_written_out():
    assert visible("a\u202eb\x00c\nd\te") == "a\\u202eb\\u0000c\nd\te"
    assert visible("a\ud800b") == "a\\ud800b"


@given(st.text(max_size=300), st.integers(20, 80))
def test_shortened_text_keeps_both_ends_and_says_what_is_missing(text, limit):
    shown = visible(text, limit)
    if len(text.replace("\r\n", "\n")) > limit:
        assert "left out of this report" in shown
    else:
        assert shown == visible(text)


@given(st.text(max_size=200), st.sampled_from(["python", "sql", "shell", "json", "klingon"]))
def test_highlighting_escapes_everything(code, language):
    html = str(highlight(code, language))
    stripped = html.replace("</span>", "")
    while '<span class="' in stripped:
        start = stripped.index('<span class="')
        stripped = stripped[:start] + stripped[stripped.index(">", start) + 1:]
    assert "<" not in stripped
    assert ">" not in stripped


def test_programs_are_shown_as_code_and_the_rest_as_parameters():
    parts = dict(action_parts("code_execution", {"code": "select 1", "language": "sql"}, ""))
    assert list(parts) == ["code (sql)"]
    assert '<span class="k">select</span>' in parts["code (sql)"]
    assert list(dict(action_parts("submit", {"answer": [1, "<b>"]}, ""))) == ["parameters"]
    assert dict(action_parts(None, {}, "<oops>")) == {"reply, as it came": "&lt;oops&gt;"}


def test_the_question_is_the_last_line():
    assert one_line("A long note.\n\nHow old is she?\n", 40) == "How old is she?"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"


def test_outcomes():
    assert [trace.outcome for trace in (make_trace(True), make_trace(False), make_trace(False, paper=True), make_trace(None))] == [
        "success", "failure", "paper only", "ungraded"]


def test_stages_show_the_same_tasks_whatever_the_order_of_traces():
    pickers = {"a": Picker(3), "b": Picker(3)}
    run = make_run(1.0, tasks=200)
    for trace in run:
        pickers["a"].offer(trace)
    for trace in reversed(run):
        pickers["b"].offer(trace)
    chosen = share_out(pickers, 12)
    tasks = {stage: [trace.task_id for name, trace in chosen if name == stage] for stage in "ab"}
    assert tasks["a"] == tasks["b"]
    assert len(tasks["a"]) == 6


def test_no_kind_starves_when_few_episodes_are_shown():
    picker = Picker(10)
    for trace in make_run(0.5, tasks=200, inflation=0.5):
        picker.offer(trace)
    kinds = [(trace.dataset, trace.outcome) for _, trace in share_out({"a": picker}, 6)]
    assert len(set(kinds)) == 6


def test_metrics_read_what_trainers_write_and_pass_over_the_rest(tmp_path):
    rows = [{"step": i, "loss": 1 / (i + 1), "lr": 0.1, "name": "x", "ok": True, "bad": float("nan")} for i in range(5)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 5, "lo')
    found = metrics.series(metrics.read_rows(tmp_path))
    assert [line.name for line in found] == ["loss", "lr"]
    assert found[0].steps == [0, 1, 2, 3, 4]
    assert metrics.series([{"loss": 1.0}, {"loss": 2.0}]) == []


def test_the_split_of_time_stacks_what_every_row_has():
    new = [{"step": i, "time/wait": 5.0, "time/sync": 0.5, "time/update": 2.0, "time/other": 0.1} for i in range(1, 5)]
    found = metrics.split_of_time(new)
    assert [(line.name, line.values[0]) for line in found] == [("waiting for rollouts", 5.0), ("update", 2.0), ("weight sync", 0.5),
                                                               ("other", 0.1)]
    old = [{"step": 1, "time/rollout": 5.0}, *({"step": i, "time/rollout": 5.0, "time/update": 2.0} for i in (2, 3))]
    assert {line.name: line.steps for line in metrics.split_of_time(old)} == {"waiting for rollouts": [2, 3], "update": [2, 3]}
    assert metrics.split_of_time([{"step": i, "loss": 1.0} for i in range(5)]) == []
    figure = split_plot(found, "where time went")
    assert "waiting for rollouts" in figure
    assert "#0102" not in figure


def test_each_metrics_file_of_a_run_is_its_own_group_of_curves(tmp_path):
    (tmp_path / "metrics").mkdir()
    for name, rows in {"sft": [{"step": i, "loss": 1.0} for i in range(3)],
                       "grpo": [{"step": i, "reward": 0.5, "time/wait": 1.0, "time/update": 1.0} for i in range(3)]}.items():
        (tmp_path / "metrics" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    groups = sections.curves([SimpleNamespace(name="run", folders=[tmp_path])], {})
    assert {group["label"]: [curve["name"] for curve in group["curves"]][-1] for group in groups} == {
        "run: grpo": "seconds per step", "run: sft": "loss"}


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=100))
def test_smoothing_stays_within_the_data_and_keeps_constants(values):
    smoothed = metrics.smooth(values)
    assert len(smoothed) == len(values)
    assert min(values) - 1e-9 <= min(smoothed)
    assert max(smoothed) <= max(values) + 1e-9
    assert metrics.smooth([2.5] * 50) == pytest.approx([2.5] * 50)


def test_plots_follow_the_theme_and_take_any_name():
    figure = rate_plot([Dot("a $x$ <b> $", 0.5, 0.4, 0.6, 0.7), Dot("empty", None, None, None, None)], 0.1, 'says "<this>"')
    assert "var(--strict)" in figure
    assert "#0102" not in figure
    assert 'aria-label="says &#34;&lt;this&gt;&#34;"' in figure
    assert "<b>" not in figure
    assert "a $x$ &lt;b&gt; $" in figure
    bars = share_plot({"wrong rows": 0.75, "a $x$ <b>": 0.25}, "two classes")
    assert "#0102" not in bars
    assert "a $x$ &lt;b&gt;" in bars
    assert " 75.0" in bars
    line = metrics.Series("loss", [0.0, 1.0], [1.0, 0.5])
    assert curve_plot(line, "x") == curve_plot(line, "x")


def test_numbers_for_readers():
    assert (percent(0.1234), percent(None)) == ("12.3\u00a0%", "–")
    assert (points(0.05), points(-0.05), points(0.0001), points(None)) == ("+5.0", "−5.0", "0.0", "–")
    assert (interval(0.1, 0.25), interval(None, None)) == ("10.0 to 25.0", "–")
    assert (duration(5), duration(600), duration(36000), duration(None)) == ("5.0 s", "10.0 min", "10.0 h", "–")


def test_nested_records_become_dotted_names():
    assert dict(flatten({"a": {"b": 1, "c": "x"}, "d": [1, 2], "e": {}})) == {"a.b": "1", "a.c": "x", "d": "[1, 2]", "e": "{}"}


def test_curves_of_many_runs_are_told_apart_without_colour():
    point = SimpleNamespace(k=1, pass_at_k=SimpleNamespace(value=0.5, ci_low=None, ci_high=None), best_at_k=None)
    curve = SimpleNamespace(points=[point], scheme="exchangeable", temperature=0.6)
    found = scaling.runs_figure({f"run {i}": curve for i in range(12)}, "pass_at_k")
    assert [line.name for line in found.lines] == [f"run {i}" for i in range(8)]
    assert len({scaling._MARKS[line.style] for line in found.lines}) == 8
    assert scaling.runs_figure({"a": curve}, "best_at_k") is None
    drawn = str(scaling.page_figure(scaling.runs_figure({r"A$\bad$": curve, "_b": curve}, "pass_at_k")))
    assert r"A$\bad$" in drawn
    assert "_b" in drawn.partition("aria-label")[2].partition(">")[2]


def test_a_command_in_a_sentence_is_code_and_markup_stays_text():
    assert prose("the same `medcopilot sample` plays <b>it</b> & `a<b`") == (
        "the same <code>medcopilot sample</code> plays &lt;b&gt;it&lt;/b&gt; &amp; <code>a&lt;b</code>")
