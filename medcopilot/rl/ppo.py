"""One run of PPO: live episodes in the sandbox, or replayed rounds; a policy and a critic of its own.

Promises: starts from a checkpoint and ends in one (the policy's); tasks of the training split only; running it again resumes or
finds that it was done; everything random comes from `seed`.
Does not cover: the parts (`source`, `experience`, `ppo_trainer`), evaluation.
"""

from __future__ import annotations

from typing import Any

from transformers import TrainingArguments

from env.errors import UserError
from medcopilot.rl.actor_critic import Reference, from_checkpoints
from medcopilot.rl.online import run_online
from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.rl.ppo_trainer import PPOTrainer
from medcopilot.rl.rounds import Source
from medcopilot.train import loop
from medcopilot.train.model import Checkpoint
from medcopilot.train.policy import load_policy


def run_ppo(config: PpoConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    Raises:
        UserError: checkpoints, datasets or settings that do not fit together, no sandbox, or nothing to learn from at the start.
    """
    loop.prepare_torch(config)
    return run_online(config, make_arguments(config), build_trainer)


def build_trainer(config: PpoConfig, arguments: TrainingArguments, checkpoint: Checkpoint, source: Source) -> Any:
    """The trainer of a run."""
    temperature = config.rollouts.temperature
    start = config.model.model_copy(update={"checkpoint": config.critic.checkpoint or config.model.checkpoint})
    try:
        model = from_checkpoints(checkpoint, load_policy(start, config.seed), temperature, config.loss.entropy > 0)
    except ValueError as error:
        raise UserError(f"critic.checkpoint: {error}") from None
    reference = Reference(load_policy(config.model, config.seed).model, temperature) if config.loss.kl else None
    return PPOTrainer(source=source, config=config, model=model, args=arguments, processing_class=checkpoint.tokenizer,
                      reference=reference)


def make_arguments(config: PpoConfig) -> TrainingArguments:
    """The trainer's arguments."""
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.micro_batches)
    return TrainingArguments(**shared, max_steps=config.max_steps or 1_000_000_000, ignore_data_skip=True,
                             gradient_checkpointing=config.model.gradient_checkpointing, per_device_train_batch_size=1)
