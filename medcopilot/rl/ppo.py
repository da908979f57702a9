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
from medcopilot.train.adapters import adapted
from medcopilot.train.launch import read_launch
from medcopilot.train.memory import few_kernels
from medcopilot.train.model import Checkpoint
from medcopilot.train.policy import load_policy


def run_ppo(config: PpoConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    Raises:
        UserError: checkpoints, datasets or settings that do not fit together, no sandbox, or nothing to learn from at the start.
    """
    few_kernels()
    loop.prepare_torch(config)
    return run_online(config, make_arguments(config), build_trainer)


def build_trainer(config: PpoConfig, arguments: TrainingArguments, checkpoint: Checkpoint, source: Source) -> Any:
    """The trainer of a run."""
    temperature = config.rollouts.temperature
    start = config.model.model_copy(update={"checkpoint": config.critic.checkpoint or config.model.checkpoint})
    critic = load_policy(start, config.seed)
    try:
        model = from_checkpoints(checkpoint, critic, temperature, config.loss.entropy > 0)
    except ValueError as error:
        raise UserError(f"critic.checkpoint: {error}") from None
    if config.critic.lora is not None:
        adapted(critic.model, config.critic.lora, "critic.lora")
    reference = None
    if config.loss.kl and config.model.lora is None:
        reference = Reference(load_policy(config.model, config.seed).model, temperature)
    return PPOTrainer(source=source, config=config, model=model, args=arguments, processing_class=checkpoint.tokenizer,
                      reference=reference)


def make_arguments(config: PpoConfig) -> TrainingArguments:
    """The trainer's arguments."""
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.micro_batches)
    # under ZeRO-3 frozen weights and non-reentrant recomputation do not go together (as TRL has it)
    frozen = config.model.lora is not None or config.critic.lora is not None
    how = {"use_reentrant": True} if frozen and read_launch().wrapper == "ZeRO-3" else None
    return TrainingArguments(**shared, max_steps=config.max_steps or 1_000_000_000, ignore_data_skip=True,
                             gradient_checkpointing=config.model.gradient_checkpointing, gradient_checkpointing_kwargs=how,
                             per_device_train_batch_size=1)
