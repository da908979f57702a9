"""The whole loop at its smallest: every step is the real one, the numbers mean nothing."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def demo(out, **options):
    words = [sys.executable, "-m", "medcopilot.demo", "--scale", "tiny", "--threads", "1", "--out", str(out)]
    return subprocess.run(words, capture_output=True, text=True, timeout=1200, check=False, **options)


def recipe_that_makes_its_inputs(tmp_path, out):
    words = [sys.executable, "recipes/verifier.py", "--config", "recipes/nano/verifier.yaml", "--max-steps", "2",
             f"run={tmp_path / 'nano'}", f"data={out / 'data' / 'verifier.jsonl'}",
             f"model.checkpoint={out / 'checkpoints' / 'sft'}", f"prepare.out={out}", "prepare.scale=tiny"]
    return subprocess.run(words, capture_output=True, text=True, timeout=1200, check=False)


def test_the_demo_goes_from_an_empty_folder_to_a_report_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDCOPILOT_DATA", str(tmp_path / "data"))
    out = tmp_path / "demo"
    trial = recipe_that_makes_its_inputs(tmp_path, out)
    assert trial.returncode == 0, trial.stderr[-3000:]
    assert "verifier.jsonl is not there yet" in trial.stderr
    assert (tmp_path / "nano" / "checkpoints" / "verifier").is_dir()
    assert not (out / "checkpoints" / "dpo").exists(), "no further than was needed"

    first = demo(out)
    assert first.returncode == 0, first.stdout[-2000:] + first.stderr[-2000:]
    assert first.stdout.count("done before") == 5
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["stages"]) == ["base", "sft", "dpo"]
    for row in summary["stages"].values():
        assert row["n"] == 40
        assert 0 <= row["ci_low"] <= row["strict"] <= row["ci_high"] <= 1
        assert {"paper", "t1", "unseen"} <= set(row)
    assert "dpo - sft" in summary["comparisons"]
    page = (out / "report.html").read_text()
    assert "<script src" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")

    again = demo(out)
    assert again.returncode == 0
    assert again.stdout.count("done before") == len(list((out / "steps").glob("*.json")))

    (out / "demo.json").write_text("{}")
    refused = demo(out)
    assert refused.returncode == 2
    assert "other settings" in refused.stderr
