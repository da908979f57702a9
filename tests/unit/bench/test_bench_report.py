"""Made-up runs look like real ones; the benchmark's parts measure what a user starts."""

from pathlib import Path

import pytest

from medcopilot.bench import report
from medcopilot.bench.made_traces import CATEGORIES, join_runs, make_runs
from medcopilot.evaluation.columns import columns
from medcopilot.runs import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    return make_runs(tmp_path_factory.mktemp("made"), traces=160, size=120_000, runs=2)


def test_made_runs_are_valid_traces_of_the_size_and_kinds_that_were_asked_for(runs):
    whole = [trace for folder in runs for trace in RunFolder.open(folder).traces()]
    assert len(whole) == len({trace.id for trace in whole}) == 160
    size = sum((folder / "traces" / "main.jsonl").stat().st_size for folder in runs) / 160
    assert 90_000 < size < 150_000
    assert {trace.dataset for trace in whole} == set(CATEGORIES)
    assert {"success", "failure", "paper only"} <= {trace.outcome for trace in whole}
    first, second = (columns(RunFolder.open(folder).scan()) for folder in runs)
    assert first.task.tolist() == second.task.tolist()
    assert (second.strict == 1).sum() > (first.strict == 1).sum() > 0
    assert {"", "wrong_rows", "runtime"} <= set(first.error.tolist() + second.error.tolist())
    assert (first.measure("context_tokens") >= 50).all()


def test_joined_runs_take_no_room(runs, tmp_path_factory):
    joined = join_runs(runs, runs[0].parent / "joined")
    assert len(list(RunFolder.open(joined).scan())) == 160
    assert all(shard.stat().st_nlink == 2 for shard in (joined / "traces").iterdir())


@pytest.mark.slow
def test_report_and_viewer_are_measured(runs, tmp_path):
    found = report.report(runs, tmp_path / "r.html")
    assert found["cpu_s"] > 0
    assert found["rss_mib"] > 50
    assert (tmp_path / "r.html").stat().st_size == pytest.approx(found["page_mb"] * 1e6)
    seen = report.viewer(runs[0])
    assert seen["page_ms"] < seen["rows_ms"] < seen["episode_ms"]
