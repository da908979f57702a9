"""`make study nano-scaling` from nothing to its conclusion, at a size at which nothing is learnt; and again, from what is there."""

import json

import pytest

from medcopilot.studies.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


def test_the_whole_study_runs_and_resumes(sandbox, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MEDCOPILOT_DATA", str(tmp_path / "data"))
    words = ["nano-scaling", "--tiny", "--threads", "1", "--out", str(tmp_path / "study")]
    assert main(words) == 0
    results = tmp_path / "study" / "results"
    found = json.loads((results / "nano-scaling.json").read_text())
    assert set(found) == {"design", "data", "rollouts", "verifier_data", "own_data", "preferences", "improvement", "debugging"}
    assert set(found["data"]["success"]) == {"50", "100"}
    assert {curve["scheme"] for curve in found["rollouts"]["curves"]} == {"exchangeable", "greedy first"}
    assert set(found["improvement"]["differences"]) == {"round 1 - start"}
    assert (results / "nano-scaling.png").stat().st_size > 5000
    assert (results / "nano-scaling.json").stat().st_size < 20_000
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "study").rglob("*.safetensors"))
    assert main(words) == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "study").rglob("*.safetensors")) == before
