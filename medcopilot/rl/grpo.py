"""One run of GRPO: live episodes in the sandbox, or replayed rounds; updates with TRL's loss.

Promises: starts from a checkpoint and ends in one; tasks of the training split only; running it again resumes or finds that it
was done; everything random comes from `seed`.
Does not cover: the parts (`source`, `batch`, `trainer`), evaluation.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from trl import GRPOConfig

from medcopilot.rl.guard import StepGuard
from medcopilot.rl.online import run_online
from medcopilot.rl.rounds import Source
from medcopilot.rl.settings import OnlineConfig
from medcopilot.rl.trainer import BY_TOKENS, StreamGRPOTrainer
from medcopilot.train import loop
from medcopilot.train.config import Config
from medcopilot.train.model import Checkpoint
from medcopilot.train.optim import OptimizerConfig


class LossSettings(Config):
    """TRL's loss. Names in brackets are TRL's."""

    type: Literal["dapo", "cispo", "grpo", "bnpo", "dr_grpo", "sapo", "luspo", "vespo"] = "dapo"
    """[loss_type] `dapo`, `cispo` and `vespo` divide by the tokens of all micro-batches; with the others micro-batches get equally
    many rows."""
    average: Literal["token", "episode"] = "token"
    """What weighs the same: each sampled token, or each rollout (the mean over its tokens). `token` is the unbiased gradient;
    `episode` has less noise where failures ramble on, and a round that found fewer groups than it wanted takes a smaller step."""
    observations: bool = False
    """Train on what the environment wrote, too: an ablation, never a recipe."""
    importance: Literal["token", "sequence"] = "token"
    """[importance_sampling_level] `sequence` with type `grpo` is GSPO (arXiv 2507.18071)."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """[epsilon]"""
    clip_high: float = Field(0.28, gt=0)
    """[epsilon_high]"""
    ratio_cap: float | None = Field(2.0, gt=1)
    """[delta] Largest importance ratio of a token, whatever the sign of its advantage. The ratio is trainer over engine, so this
    is the cap of truncated importance sampling; plain clipping leaves it open where advantages are negative."""
    kl: float = Field(0.0, ge=0)
    """[beta] Weight of the KL term against the starting checkpoint; 0: no reference model is loaded. With `model.lora` the
    reference is the policy without its adapter."""
    iterations: int = Field(1, ge=1)
    """[num_iterations] Passes over one round of rollouts."""
    completion: int = Field(8192, ge=1)
    """[max_completion_length] The constant that `dr_grpo` divides by."""
    skip_ratio: float = Field(1e4, gt=1)
    """A step with a larger ratio is not taken."""

    @model_validator(mode="after")
    def _fits(self) -> LossSettings:
        if self.ratio_cap is not None and self.type != "cispo" and self.ratio_cap <= 1 + self.clip_high:
            raise ValueError(f"ratio_cap must be above 1 + clip_high = {1 + self.clip_high:g}")
        if self.average == "episode" and self.type not in BY_TOKENS:
            raise ValueError(f"average: episode is for type {' or '.join(BY_TOKENS)}; {self.type} has its own average")
        if self.importance == "sequence" and self.type not in ("grpo", "luspo"):
            raise ValueError(f"importance: sequence is for type grpo or luspo; {self.type} is defined per token")
        if self.type == "luspo" and self.importance != "sequence":
            raise ValueError("type luspo is defined per sequence: set importance: sequence")
        return self


class GrpoConfig(OnlineConfig):
    """One run of GRPO."""

    name: str = "grpo"
    loss: LossSettings = LossSettings()
    optimizer: OptimizerConfig = OptimizerConfig(name="adamw", lr=2e-4, schedule="constant", warmup_steps=3, betas=(0.9, 0.95))

    @model_validator(mode="after")
    def _groups(self) -> GrpoConfig:
        if self.rollouts.groups * self.rollouts.group_size % self.micro_batches:
            raise ValueError("micro_batches must divide rollouts.groups x rollouts.group_size")
        if self.rollouts.group_size < 8:
            raise ValueError(f"group_size = {self.rollouts.group_size}: GRPO compares rollouts within a group and needs at least 8")
        return self


def run_grpo(config: GrpoConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    A policy that has come to solve all or none of its tasks ends the run early; its checkpoint is kept.

    Raises:
        UserError: checkpoint, datasets or settings that do not fit together, no sandbox, or nothing to learn from at the start.
    """
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
