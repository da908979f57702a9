"""recipes/ppo.py as a user runs it, and replayed rounds under both online recipes."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from transformers import AutoModelForCausalLM

QUICK = ("rollouts.groups=16", "rollouts.group_size=1", "rollouts.max_groups=24", "critic.warmup_steps=1", "bf16=false")


@pytest.fixture(scope="module")
def dumped(workshop):
    """A GRPO run that wrote its rounds."""
    workshop.run("grpo", "dumped", "max_steps=4", "dump=true", "bf16=false")
    return workshop.folder / "dumped" / "rollouts" / "grpo"


def test_live_episodes_train_a_policy_and_its_critic(workshop) -> None:
    done = workshop.run("ppo", "live", *QUICK, "max_steps=6", "loss.kl=0.01", "loss.epochs=2", "loss.minibatches=2")
    rows = workshop.rows("ppo", "live")
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert all(row["skipped"] == 0 for row in rows)
    rounds = [row for row in rows if "value/explained_variance" in row]
    assert len(rounds) == 2
    assert {"success", "kl/start", "kl/weight", "mismatch/mean", "time/wait", "time/sync", "time/evaluate", "share/env",
            "staleness", "rollouts/infrastructure"} <= set(rounds[0])
    parts = ("wait", "sync", "evaluate", "update", "other")
    assert all(sum(row[f"time/{part}"] for part in parts) == pytest.approx(row["time/step"]) for row in rows)
    assert rounds[0]["kl/start"] == pytest.approx(0.0, abs=1e-6)
    checkpoint = workshop.folder / "live" / "checkpoints" / "ppo"
    assert str(checkpoint) in done.stderr
    assert json.loads((checkpoint / "medcopilot.json").read_text())["policy_version"] == 2
    start, end = (AutoModelForCausalLM.from_pretrained(folder) for folder in (workshop.folder / "start", checkpoint))
    assert start.state_dict().keys() == end.state_dict().keys()
    assert "finished before" in workshop.run("ppo", "live", *QUICK, "max_steps=6", "loss.kl=0.01", "loss.epochs=2",
                                             "loss.minibatches=2").stderr


def test_a_replayed_run_has_the_losses_of_the_live_one(workshop, dumped) -> None:
    workshop.run("grpo", "replayed", "max_steps=4", f"replay={dumped}", "sandbox=none-is-opened", "bf16=false")
    live, replayed = (workshop.rows("grpo", name) for name in ("dumped", "replayed"))
    for name in ("loss", "grad_norm", "entropy", "success"):
        assert [row[name] for row in replayed] == pytest.approx([row[name] for row in live], rel=1e-6), name


def test_a_replay_that_is_used_up_ends_the_run(workshop, dumped) -> None:
    done = workshop.run("grpo", "short", "max_steps=9", f"replay={dumped}", "bf16=false")
    assert "ended early after step 4" in done.stderr
    assert (workshop.folder / "short" / "checkpoints" / "grpo" / "model.safetensors").is_file()


def test_one_round_ahead_runs(workshop) -> None:
    workshop.run("grpo", "ahead", "max_steps=4", "rollouts.staleness=1")
    rows = workshop.rows("grpo", "ahead")
    assert [row["staleness"] for row in rows] == [0.0, 1.0, 1.0, 1.0]
    assert all(row["mismatch/kl"] < 0.1 for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_a_killed_run_goes_on_with_the_same_curve(workshop, dumped, stage) -> None:
    """Killed at a random moment; with a round of several steps, states are written between rounds only."""
    several = ("loss.iterations=2",) if stage == "grpo" else ("loss.epochs=2", *QUICK[3:4])
    overrides = ("max_steps=8", "save_steps=1", f"replay={dumped}", "bf16=false", *several)
    workshop.run(stage, f"{stage}-whole", *overrides)
    process = workshop.start(stage, f"{stage}-cut", *overrides)
    deadline = time.monotonic() + 200
    while not list((workshop.folder / f"{stage}-cut").glob(f"checkpoints/{stage}.work/checkpoint-[2-6]/complete.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    workshop.run(stage, f"{stage}-cut", *overrides)
    whole, cut = (workshop.rows(stage, f"{stage}-{name}") for name in ("whole", "cut"))
    assert [row["step"] for row in cut] == list(range(1, 9))
    for name in ("loss", "grad_norm"):
        assert [row[name] for row in cut] == pytest.approx([row[name] for row in whole], rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize(("overrides", "words"), [
    (("max_steps=null",), "set max_steps, max_seconds or max_episodes"),
    (("max_steps=2", "rollouts.filter=true", "rollouts.group_size=2"), "filter: false"),
    (("max_steps=2", "loss.ratio_cap=1.1"), "ratio_cap"),
    (("max_steps=2", "rollouts.grader=paper"), "ppo-paper"),
    (("max_steps=2", "critic.lr=1"), "unknown key 'critic.lr'"),
    (("max_steps=2", "replay=/nowhere/at/all"), "/nowhere/at/all"),
    (("max_steps=2", "critic.checkpoint=/nowhere/else"), "/nowhere/else"),
])
def test_bad_settings_are_one_sentence(workshop, capsys, overrides, words) -> None:
    from medcopilot.rl.ppo import run_ppo
    from medcopilot.rl.ppo_settings import PpoConfig
    from medcopilot.train.recipe import run_recipe

    assert run_recipe(PpoConfig, run_ppo, "", workshop.command("ppo", "bad", *QUICK, *overrides)[2:]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1, said
    shutil.rmtree(workshop.folder / "bad", ignore_errors=True)


def test_dry_run_prints_the_configuration(repository) -> None:
    words = ["recipes/ppo.py", "recipes/nano/ppo.yaml", "--dry-run", "--max-steps", "7"]
    done = subprocess.run([sys.executable, *words], cwd=repository, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "max_steps: 7" in done.stdout


def test_a_budget_of_episodes_ends_the_run(workshop) -> None:
    workshop.run("ppo", "budget", *QUICK, "max_episodes=40", "optimizer.schedule=linear", "optimizer.floor=0.0")
    rows = workshop.rows("ppo", "budget")
    assert len(rows) == 3  # 16 episodes a round
    about = json.loads((workshop.folder / "budget" / "checkpoints" / "ppo" / "medcopilot.json").read_text())
    assert about["details"]["episodes"] == 48
