"""`make study nano-rl` from nothing to its conclusion, at a size at which nothing is learnt; and again, from what is there."""

import json

import pytest

from medcopilot.studies.__main__ import main
from medcopilot.studies.nano_rl import ABLATIONS

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


def test_the_whole_study_runs_and_resumes(sandbox, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("MEDCOPILOT_DATA", str(tmp_path / "data"))
    words = ["nano-rl", "--tiny", "--threads", "1", "--out", str(tmp_path / "study")]
    assert main(words) == 0
    found = json.loads((tmp_path / "study" / "results" / "nano-rl.json").read_text())
    assert {"GRPO - control", "PPO - control", "PPO - GRPO", *(f"rl-{name}" for name in ABLATIONS)} <= set(found)
    assert set(found["PPO - control"]["seen-t0"]) >= {"difference", "ci_low", "ci_high", "tasks", "clusters"}
    assert set(found["rl-grpo-paper-grader"]["inflation"]) == {"rl-grpo-0", "rl-grpo-paper-grader"}
    assert (tmp_path / "study" / "results" / "nano-rl.png").stat().st_size > 5000
    assert all(path.stat().st_size < 20_000 for path in (tmp_path / "study" / "results").glob("*.json"))
    episodes = {name: json.loads((tmp_path / "study" / "checkpoints" / name / "medcopilot.json").read_text())["details"]["episodes"]
                for name in ("rl-grpo-0", "rl-ppo-0")}
    assert all(200 <= count < 200 + 320 for count in episodes.values()), episodes
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "study" / "checkpoints").rglob("*.safetensors"))
    capsys.readouterr()
    assert main(words) == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "study" / "checkpoints").rglob("*.safetensors")) == before
    assert "PPO - GRPO, seen-t0" in capsys.readouterr().out
