"""The keys of a GRPO recipe, without torch and TRL: a recipe is checked, printed and planned in a moment.

Promises: contradictions between keys are refused when the file is read.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medcopilot.rl.settings import OnlineConfig
from medcopilot.train.config import Config
from medcopilot.train.settings import OptimizerConfig

BY_TOKENS = ("dapo", "cispo", "vespo")
"""TRL's losses that are divided by the tokens of all micro-batches; the others average within each of them."""


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
