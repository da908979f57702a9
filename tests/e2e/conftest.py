"""What the tests of the online recipes share: real tasks, a tiny policy that knows four of them half, the command line."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
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


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips where there is none."""
    if not sandbox_works():
        pytest.skip("no sandbox on this machine")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder to run in: recipes name folders relative to it."""
    with contextlib.chdir(tmp_path_factory.mktemp("workplace")):
        yield Path.cwd()


@dataclass
class Workshop:
    """A folder with data, a start checkpoint and the runs of the tests."""

    folder: Path
    repository: Path
    tasks: int = TASKS

    @property
    def builds(self) -> dict[str, dict]:
        """Of the one dataset."""
        return {"medcalcbench": REQUEST.model_dump(mode="json")}

    def command(self, stage: str, name: str, *overrides: str) -> list[str]:
        builds = json.dumps(self.builds)
        return [sys.executable, str(self.repository / "recipes" / f"{stage}.py"),
                str(self.repository / "recipes" / "nano" / f"{stage}.yaml"), f"run={self.folder / name}",
                f"model.checkpoint={self.folder / 'start'}", "datasets=[medcalcbench]", f"builds={builds}",
                f"tasks_per_dataset={TASKS}", "rollouts.groups=2", "rollouts.group_size=8", "rollouts.max_groups=6",
                "micro_batches=2", "optimizer.name=adamw", "optimizer.lr=0.0002", "optimizer.warmup_steps=0", "max_seconds=null",
                *(["loss.average=token"] if stage == "grpo" else []), *overrides]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "MEDCOPILOT_DATA": str(self.folder / "data"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def run(self, stage: str, name: str, *overrides: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.command(stage, name, *overrides), cwd=self.repository, env=self.environment, text=True,
                              capture_output=True, timeout=300, check=False)
        assert done.returncode == code, done.stderr[-3000:]
        return done

    def start(self, stage: str, name: str, *overrides: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(stage, name, *overrides), cwd=self.repository, env=self.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rows(self, stage: str, name: str) -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.folder / name / "metrics" / f"{stage}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory, repository):
    """A checkpoint that submits the right answer or a wrong one, half and half, on each of four training tasks."""
    import torch

    from medcopilot.agent.profiles import opening_messages
    from medcopilot.agent.render import ChatRenderer
    from medcopilot.rollout.settings import choose_tasks
    from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
    from medcopilot.train.tokenizer import train_tokenizer

    if not sandbox_works():
        pytest.skip("no sandbox on this machine")
    folder = tmp_path_factory.mktemp("online")
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
    return Workshop(folder, repository)
