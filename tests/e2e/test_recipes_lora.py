"""Both online recipes with LoRA, as a user runs them: live episodes, and a killed run that goes on."""

from __future__ import annotations

import signal
import time

import pytest
import torch
from transformers import AutoModelForCausalLM

from medcopilot.policies.load import load_policy

LORA = ("model.lora.rank=8", "model.lora.alpha=16", "optimizer.lr=0.005", "bf16=false")
STAGES = {"grpo": ("loss.kl=0.01",),
          "ppo": ("rollouts.groups=16", "rollouts.group_size=1", "rollouts.max_groups=24", "critic.warmup_steps=0", "loss.kl=0.01",
                  "critic.lora.rank=4", "critic.lora.alpha=8")}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", STAGES)
def test_live_episodes_train_an_adapter(workshop, stage) -> None:
    workshop.run(stage, f"lora-{stage}", "max_steps=3", *LORA, *STAGES[stage])
    rows = workshop.rows(stage, f"lora-{stage}")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(row["skipped"] == 0 and row["rollouts/infrastructure"] == 0 for row in rows)
    assert all(row["sync/probe_max"] < 1e-4 for row in rows)
    assert all(row["mismatch/max"] < 1e-3 for row in rows)
    start_kl = "kl" if stage == "grpo" else "kl/start"
    assert rows[0][start_kl] == pytest.approx(0.0, abs=1e-6)
    assert rows[2][start_kl] > 1e-6
    checkpoint = workshop.folder / f"lora-{stage}" / "checkpoints" / stage
    before, after = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in (workshop.folder / "start", checkpoint))
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("_proj.weight" in name for name in moved)
    policy = load_policy(str(checkpoint))
    policy.close()


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_goes_on_with_the_same_curve(workshop, stage) -> None:
    workshop.run(stage, f"lora-{stage}-dumped", "max_steps=6", "dump=true", *LORA, *STAGES[stage])
    rounds = workshop.folder / f"lora-{stage}-dumped" / "rollouts" / stage
    overrides = ("max_steps=6", "save_steps=1", f"replay={rounds}", *LORA, *STAGES[stage])
    name = f"lora-{stage}-cut"
    process = workshop.start(stage, name, *overrides)
    deadline = time.monotonic() + 200
    while not list((workshop.folder / name).glob(f"checkpoints/{stage}.work/checkpoint-[2-4]/complete.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    workshop.run(stage, name, *overrides)
    whole, cut = workshop.rows(stage, f"lora-{stage}-dumped"), workshop.rows(stage, name)
    assert [row["step"] for row in cut] == list(range(1, 7))
    for name in ("loss", "grad_norm"):
        assert [row[name] for row in cut] == pytest.approx([row[name] for row in whole], rel=1e-4, abs=1e-6), name
