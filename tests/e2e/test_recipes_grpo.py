"""recipes/grpo.py as a user runs it: real tasks, real sandbox, a tiny policy that knows four tasks half."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from env.datasets import BuildRequest, get_dataset
from env.sandbox import open_backend

REQUEST = BuildRequest(seed=0, train=40, test=8, patients=50, options={"calculators": "core"})
TASKS = 4


def sandbox_works() -> bool:
    try:
        open_backend().close()
    except Exception:
        return False
    return True


pytestmark = pytest.mark.skipif(not sandbox_works(), reason="no sandbox on this machine")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A checkpoint that submits the right answer or a wrong one, half and half, on each of four training tasks."""
    import torch

    from medcopilot.agent.profiles import opening_messages
    from medcopilot.agent.render import ChatRenderer
    from medcopilot.rollout.sample import choose_tasks
    from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
    from medcopilot.train.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("grpo")
    built = get_dataset("medcalcbench").build(REQUEST, folder / "data")
    tasks = choose_tasks(built, "train", (), TASKS, 0)
    conversations = []
    for task in tasks:
        opening = opening_messages(task.view, "nano")
        for answer in (task.key.reference, -1):
            reply = json.dumps({"action": "submit", "params": {"answer": answer}}, separators=(",", ":"))
            conversations.append([*opening, {"role": "assistant", "content": reply}])
    tokenizer = train_tokenizer([message["content"] for talk in conversations for message in talk], 600)
    renderer = ChatRenderer(tokenizer)
    model = new_nano(tokenizer, NanoShape(hidden=64, layers=2, heads=2, feed_forward=128, positions=512), seed=0)
    rows = [renderer.trace(talk) for talk in conversations]
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([[token if m else -100 for token, m in zip(ids, mask, strict=True)] + [-100] * (width - len(ids))
                           for ids, mask in rows])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0)
    for _ in range(150):  # until all that is left is the choice between the two answers
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2
    save_checkpoint(model, tokenizer, folder / "start", CheckpointMeta(profile="nano", policy_version=1))
    return folder


def command(workshop: Path, repository: Path, run: str, *overrides: str) -> list[str]:
    builds = json.dumps({"medcalcbench": REQUEST.model_dump(mode="json")})
    return [sys.executable, str(repository / "recipes" / "grpo.py"), str(repository / "recipes" / "nano" / "grpo.yaml"),
            f"run={workshop / run}", f"model.checkpoint={workshop / 'start'}", "datasets=[medcalcbench]", f"builds={builds}",
            f"tasks_per_dataset={TASKS}", "rollouts.groups=2", "rollouts.group_size=8", "rollouts.max_groups=6", "micro_batches=2",
            "optimizer.name=adamw", "optimizer.lr=0.0002", "optimizer.warmup_steps=0", "loss.average=token", "max_seconds=null",
            *overrides]


def environment(workshop: Path) -> dict[str, str]:
    return {**os.environ, "MEDCOPILOT_DATA": str(workshop / "data"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(workshop: Path, repository: Path, name: str, *overrides: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(workshop, repository, name, *overrides), cwd=repository, env=environment(workshop), text=True,
                          capture_output=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr[-3000:]
    return done


def rows(workshop: Path, name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (workshop / name / "metrics" / "grpo.jsonl").read_text().splitlines()]


def test_rewards_rise_and_everything_is_recorded(workshop, repository) -> None:
    done = run(workshop, repository, "rise", "max_steps=16", "keep_traces=true")
    metrics = rows(workshop, "rise")
    assert [row["step"] for row in metrics] == list(range(1, 17))
    start, end = (sum(row["success"] for row in part) / 3 for part in (metrics[:3], metrics[-3:]))
    assert end > start + 0.1
    assert all(row["rollouts/infrastructure"] == 0 for row in metrics)
    assert all(row["mismatch/mean"] < 0.02 for row in metrics)
    assert {"reward", "groups/zero_variance", "share/generate", "share/env", "share/grade", "time/rollout",
            "entropy"} <= set(metrics[0])
    checkpoint = workshop / "rise" / "checkpoints" / "grpo"
    assert json.loads((checkpoint / "medcopilot.json").read_text())["policy_version"] == 2
    assert str(checkpoint) in done.stderr
    assert (workshop / "rise" / "traces-grpo" / "rank0.jsonl").stat().st_size > 0
    again = run(workshop, repository, "rise", "max_steps=16", "keep_traces=true")
    assert "finished before" in again.stderr


def test_an_interrupted_run_resumes(workshop, repository) -> None:
    overrides = ("max_steps=5", "save_steps=1")
    process = subprocess.Popen(command(workshop, repository, "resume", *overrides), cwd=repository, env=environment(workshop),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list((workshop / "resume").glob("checkpoints/grpo.work/checkpoint-[2-4]/complete.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(rows(workshop, "resume"))
    run(workshop, repository, "resume", *overrides)
    steps = [row["step"] for row in rows(workshop, "resume")]
    assert steps[-1] == 5
    assert before >= 2
    assert len(steps) <= 6  # at most the step that was being written was done again
    assert (workshop / "resume" / "checkpoints" / "grpo" / "model.safetensors").is_file()


BAD = [
    (("max_steps=null",), "set max_steps or max_seconds"),
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
def test_bad_settings_are_one_sentence(workshop, repository, capsys, overrides, words) -> None:
    from medcopilot.rl.grpo import GrpoConfig, run_grpo
    from medcopilot.train.recipe import run_recipe

    assert run_recipe(GrpoConfig, run_grpo, "", command(workshop, repository, "bad", *overrides)[2:]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1, said


@pytest.mark.parametrize("profile", ["nano", "qwen2.5-7b"])
def test_dry_run_prints_the_configuration(repository, profile) -> None:
    words = ["recipes/grpo.py", f"recipes/{profile}/grpo.yaml", "--dry-run", "--max-steps", "7"]
    done = subprocess.run([sys.executable, *words], cwd=repository, text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "max_steps: 7" in done.stdout
