"""The keys of a PPO recipe.

Promises: contradictions between keys are refused when the file is read.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medcopilot.rl.settings import OnlineConfig, RolloutSettings, check_lora
from medcopilot.train.config import Config
from medcopilot.train.settings import LoraSettings, OptimizerConfig


class CriticSettings(Config):
    """The value function."""

    checkpoint: str | None = None
    """Whose weights it starts from; None: the actor's checkpoint. Its head starts at 0."""
    optimizer: OptimizerConfig = OptimizerConfig(name="adamw", lr=1e-3, schedule="constant", warmup_steps=3, betas=(0.9, 0.95))
    warmup_steps: int = Field(10, ge=0)
    """Optimiser steps at the start in which the actor's rate is 0."""
    lora: LoraSettings | None = None
    """Train an adapter on the critic's layers, and its head, instead of all of its weights."""

    @model_validator(mode="after")
    def _possible(self) -> CriticSettings:
        check_lora(self.lora, "critic.lora")
        return self


class PpoLoss(Config):
    """From rewards to losses."""

    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(0.95, ge=0, le=1)
    """Of the policy's advantages."""
    value_lam: float = Field(1.0, ge=0, le=1)
    """Of the critic's targets: 1 is the plain return, without bootstrapping."""
    whiten: bool = True
    """Advantages get mean 0 and deviation 1 over a round's sampled tokens of all ranks."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.2, gt=0)
    ratio_cap: float = Field(2.0, gt=1)
    """Largest importance ratio that counts, whatever the sign of the advantage."""
    value_clip: float | None = Field(0.2, gt=0)
    value_weight: float = Field(0.5, ge=0)
    entropy: float = Field(0.0, ge=0)
    """Weight of the entropy bonus."""
    old: Literal["engine", "trainer"] = "engine"
    """Whose logprobs the ratio is taken against: the engine's, or the trainer's before the round's first update, with a truncated
    weight of trainer over engine beside it (for engines of another precision)."""
    kl: float = Field(0.001, ge=0)
    """Weight of the distance to the starting checkpoint in every sampled token's reward; 0: no reference model is loaded. With
    `model.lora` the reference is the actor without its adapter."""
    kl_target: float | None = Field(None, gt=0)
    """KL per token that the weight is steered towards; None: the weight is fixed."""
    kl_horizon: float = Field(1e5, gt=0)
    """Sampled tokens over which a steered weight follows."""
    epochs: int = Field(1, ge=1)
    """Passes over a round."""
    minibatches: int = Field(1, ge=1)
    """Optimiser steps per pass."""
    stop_kl: float | None = Field(None, gt=0)
    """KL per token to the round's policy beyond which the rest of the round is left."""
    skip_ratio: float = Field(1e4, gt=1)
    """A step with a larger ratio is not taken."""

    @model_validator(mode="after")
    def _cap_above_clip(self) -> PpoLoss:
        if self.ratio_cap <= 1 + self.clip_high:
            raise ValueError(f"ratio_cap must be above 1 + clip_high = {1 + self.clip_high:g}")
        if self.kl_target is not None and not self.kl:
            raise ValueError("kl_target steers the weight kl: start it above 0")
        return self


class PpoConfig(OnlineConfig):
    """One run of PPO."""

    name: str = "ppo"
    rollouts: RolloutSettings = RolloutSettings(groups=128, group_size=1, max_groups=192, filter=False)
    loss: PpoLoss = PpoLoss()
    critic: CriticSettings = CriticSettings()
    optimizer: OptimizerConfig = OptimizerConfig(name="adamw", lr=5e-5, schedule="constant", warmup_steps=3, betas=(0.9, 0.95))
    """The actor's."""
