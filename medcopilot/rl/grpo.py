"""One run of GRPO: live episodes in the sandbox, or replayed rounds; updates with TRL's loss.

Promises: starts from a checkpoint and ends in one; tasks of the training split only; running it again resumes or finds that it
was done; everything random comes from `seed`.
Does not cover: the parts (`source`, `batch`, `trainer`), evaluation.
"""

from __future__ import annotations

from typing import Any

from trl import GRPOConfig

from medcopilot.rl.grpo_settings import GrpoConfig, LossSettings
from medcopilot.rl.guard import StepGuard
from medcopilot.rl.online import run_online
from medcopilot.rl.rounds import Source
from medcopilot.rl.trainer import StreamGRPOTrainer
from medcopilot.train import loop
from medcopilot.train.memory import few_kernels
from medcopilot.train.model import Checkpoint

__all__ = ["GrpoConfig", "LossSettings", "build_trainer", "make_arguments", "run_grpo"]


def run_grpo(config: GrpoConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    A policy that has come to solve all or none of its tasks ends the run early; its checkpoint is kept.

    Raises:
        UserError: checkpoint, datasets or settings that do not fit together, no sandbox, or nothing to learn from at the start.
    """
    few_kernels()
    loop.prepare_torch(config)
    return run_online(config, make_arguments(config), build_trainer)


def build_trainer(config: GrpoConfig, arguments: GRPOConfig, checkpoint: Checkpoint, source: Source) -> Any:
    """The trainer of a run."""
    return StreamGRPOTrainer(source=source, model=checkpoint.model, args=arguments, processing_class=checkpoint.tokenizer,
                             episode_average=config.loss.average == "episode", observations=config.loss.observations,
                             guard=StepGuard(config.loss.skip_ratio))


def make_arguments(config: GrpoConfig) -> GRPOConfig:
    """TRL's arguments."""
    settings, loss = config.rollouts, config.loss
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.micro_batches)
    return GRPOConfig(
        **shared, max_steps=config.max_steps or 1_000_000_000, gradient_checkpointing=config.model.gradient_checkpointing,
        per_device_train_batch_size=settings.groups * settings.group_size // config.micro_batches,
        steps_per_generation=config.micro_batches, num_generations=settings.group_size, temperature=settings.temperature,
        top_p=settings.top_p, beta=loss.kl, epsilon=loss.clip_low, epsilon_high=loss.clip_high, delta=loss.ratio_cap,
        loss_type=loss.type, importance_sampling_level=loss.importance, max_completion_length=loss.completion,
        num_iterations=loss.iterations, ignore_data_skip=True, log_completions=False)
