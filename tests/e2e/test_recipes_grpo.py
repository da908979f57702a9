"""recipes/grpo.py as a user runs it: real tasks, real sandbox, a tiny policy that knows four tasks half."""

import json
import signal
import subprocess
import sys
import time

import pytest


def test_rewards_rise_and_everything_is_recorded(workshop) -> None:
    done = workshop.run("grpo", "rise", "max_steps=16", "keep_traces=true")
    metrics = workshop.rows("grpo", "rise")
    assert [row["step"] for row in metrics] == list(range(1, 17))
    start, end = (sum(row["success"] for row in part) / 3 for part in (metrics[:3], metrics[-3:]))
    assert end > start + 0.1
    assert all(row["rollouts/infrastructure"] == 0 for row in metrics)
    assert all(row["mismatch/mean"] < 0.02 for row in metrics)
    assert {"reward", "groups/zero_variance", "share/generate", "share/env", "share/grade", "time/rollout", "rollouts/seconds",
            "rollouts/masked", "staleness", "speed/tokens_per_second", "speed/update_tokens_per_second",
            "entropy"} <= set(metrics[0])
    assert "speed/mfu" not in metrics[0]  # no peak is known of a CPU
    assert all(sum(row[f"time/{part}"] for part in ("wait", "sync", "update", "other")) == pytest.approx(row["time/step"])
               for row in metrics)
    assert [row["progress"] for row in metrics] == [round(step / 16, 4) for step in range(1, 17)]
    samples = {path.name: path.read_text() for path in (workshop.folder / "rise" / "samples" / "grpo").iterdir()}
    assert set(samples) == {"step-1.md", "step-11.md"}
    assert "### Turn 1: submit" in samples["step-1.md"]
    assert not (workshop.folder / "rise" / "alarms").exists()
    checkpoint = workshop.folder / "rise" / "checkpoints" / "grpo"
    assert json.loads((checkpoint / "medcopilot.json").read_text())["policy_version"] == 2
    assert str(checkpoint) in done.stderr
    assert (workshop.folder / "rise" / "traces-grpo" / "rank0.jsonl").stat().st_size > 0
    again = workshop.run("grpo", "rise", "max_steps=16", "keep_traces=true")
    assert "finished before" in again.stderr


def test_an_interrupted_run_resumes(workshop) -> None:
    overrides = ("max_steps=5", "save_steps=1")
    process = workshop.start("grpo", "resume", *overrides)
    deadline = time.monotonic() + 200
    while not list((workshop.folder / "resume").glob("checkpoints/grpo.work/checkpoint-[2-4]/complete.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(workshop.rows("grpo", "resume"))
    workshop.run("grpo", "resume", *overrides)
    steps = [row["step"] for row in workshop.rows("grpo", "resume")]
    assert steps[-1] == 5
    assert before >= 2
    assert len(steps) <= 6  # at most the step that was being written was done again
    assert (workshop.folder / "resume" / "checkpoints" / "grpo" / "model.safetensors").is_file()


BAD = [
    (("max_steps=null",), "set max_steps, max_seconds or max_episodes"),
    (("max_steps=1", "rollouts.group_size=4"), "group_size"),
    (("max_steps=1", "rollouts.rewards={luck: 1}"), "luck"),
    (("max_steps=1", "rollouts.rewards={verifier: 1}"), "set rollouts.verifier"),
    (("max_steps=1", "rollouts.rewards={outcome: 1, turn_cost: -1}"), "costs are negative by themselves"),
    (("max_steps=1", "rollouts.verifier=/nowhere/at/all", "rollouts.rewards={verifier: 1}"), "this is no verifier"),
    (("max_steps=1", "lr=1"), "unknown key 'lr'"),
    (("max_steps=1", "datasets=[nowhere]"), "unknown dataset"),
    (("max_steps=1", "model.checkpoint=/nowhere/at/all"), "/nowhere/at/all"),
]


@pytest.mark.parametrize(("overrides", "words"), BAD)
def test_bad_settings_are_one_sentence(workshop, capsys, overrides, words) -> None:
    from medcopilot.rl.grpo import GrpoConfig, run_grpo
    from medcopilot.train.recipe import run_recipe

    assert run_recipe(GrpoConfig, run_grpo, "", workshop.command("grpo", "bad", *overrides)[2:]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1, said


@pytest.mark.parametrize("profile", ["nano", "qwen2.5-7b"])
def test_dry_run_prints_the_configuration(repository, profile) -> None:
    words = ["recipes/grpo.py", f"recipes/{profile}/grpo.yaml", "--dry-run", "--max-steps", "7"]
    done = subprocess.run([sys.executable, *words], cwd=repository, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "max_steps: 7" in done.stdout
