"""The online trainers on a GPU: one step of each moves the weights and is finite."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl")

from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from transformers import TrainingArguments
from trl import GRPOConfig

from medcopilot.bench.train import data
from medcopilot.bench.train.cases import TINY
from medcopilot.rl.actor_critic import ActorCritic, Reference
from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.rl.ppo_trainer import PPOTrainer
from medcopilot.rl.rounds import Round, Row
from medcopilot.rl.trainer import StreamGRPOTrainer
from medcopilot.train import loop
from medcopilot.train.optim import OptimizerConfig

pytestmark = pytest.mark.gpu
SMALL = TINY._replace(length=0.25, line=64, rollouts=16)
OPTIMIZER = OptimizerConfig(name="adamw", lr=1e-3, schedule="constant", warmup_steps=0)


def played() -> list[Row]:
    """Rollouts with old logprobs in the region of the model's."""
    return [row._replace(logprobs=[-3.0 * m for m in row.mask]) for row in data.rollout_rows(SMALL, VOCABULARY)]


class Given:
    """A source of one round, again and again."""

    episodes = 0

    def next(self, step: int) -> Round:
        return Round(played(), 0, {"reward": 0.25})


def shared(folder: Path) -> dict[str, Any]:
    return {"output_dir": str(folder), "bf16": True, "report_to": "none", "max_steps": 1, "logging_steps": 1, "disable_tqdm": True,
            "save_strategy": "no", "max_grad_norm": 1.0, "remove_unused_columns": False, "gradient_accumulation_steps": 2}


def step(trainer: Any, device: torch.device) -> float:
    """One step; the loss, after checking that weights moved and are finite."""
    trainer.stage_optimizer, trainer.horizon = OPTIMIZER, loop.Horizon(1, None)
    before = copy.deepcopy(trainer.model.state_dict())
    trainer.train()
    after = trainer.model.state_dict()
    assert {tensor.device.type for tensor in after.values()} == {device.type}
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert any((tensor.cpu() != before[name].cpu()).any() for name, tensor in after.items())
    return next(float(row["loss"]) for row in trainer.state.log_history if "loss" in row)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_of_grpo(tmp_path: Path, device: torch.device, checkpointing: bool) -> None:
    arguments = GRPOConfig(**shared(tmp_path), num_generations=8, per_device_train_batch_size=8, steps_per_generation=2,
                           loss_type="dapo", delta=2.0, gradient_checkpointing=checkpointing)
    trainer = StreamGRPOTrainer(source=Given(), model=tiny_model(scale=2.0), args=arguments, processing_class=tiny_tokenizer())
    assert math.isfinite(step(trainer, device))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_of_ppo(tmp_path: Path, device: torch.device, checkpointing: bool) -> None:
    critic = {"warmup_steps": 0, "optimizer": OPTIMIZER.model_dump()}
    config = PpoConfig.model_validate({"run": tmp_path, "model": {"checkpoint": "x"}, "max_steps": 1, "micro_batches": 2,
                                       "critic": critic, "optimizer": OPTIMIZER.model_dump(),
                                       "loss": {"old": "trainer", "kl": 0.001}})
    arguments = TrainingArguments(**shared(tmp_path), per_device_train_batch_size=1, gradient_checkpointing=checkpointing)
    trainer = PPOTrainer(source=Given(), config=config, model=ActorCritic(tiny_model(scale=2.0), tiny_model(1, scale=2.0)),
                         args=arguments, processing_class=tiny_tokenizer(), reference=Reference(tiny_model(scale=2.0)))
    assert math.isfinite(step(trainer, device))
