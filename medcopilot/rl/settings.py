"""The keys that GRPO and PPO share: tasks, rollouts, engine, and where rounds come from.

Promises: contradictions between keys are refused when the file is read.
Does not cover: each trainer's own loss (`grpo`, `ppo`) and how rounds are made (`source`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from env.datasets import BuildRequest
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.rl.advantages import Scale
from medcopilot.rl.tasks import Priority
from medcopilot.train.config import Config, StageConfig
from medcopilot.train.settings import LoraSettings, ModelConfig
from rewards.shaping import check_weights


class EngineSettings(Config):
    """What generates."""

    kind: Literal["transformers", "vllm", "vllm_server"] = "transformers"
    """`vllm_server`: the servers named under `servers`; the other two generate in this process."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the engine's linear layers. The nearer to the trainer's arithmetic, the smaller `mismatch/*` in the metrics."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the constructor of an engine in this process. Servers get theirs when they are started."""
    servers: ServerSettings | None = None
    """Addresses, deadlines and weight sync of `vllm_server`; each rank takes its own share of them."""

    @model_validator(mode="after")
    def _servers_that_learn(self) -> EngineSettings:
        if (self.servers is not None) != (self.kind == "vllm_server"):
            raise ValueError("servers (with urls and sync) belongs to kind: vllm_server, and only to it")
        if self.servers is not None and self.options:
            name = next(iter(self.options))
            raise ValueError("options are those of an engine in this process, and servers are started with theirs: set options: {} "
                             f"and start them with `medcopilot serve CHECKPOINT -- --{name.replace('_', '-')} ...`")
        if self.servers is not None and self.servers.sync == "none":
            raise ValueError("servers.sync is none: choose gloo, nccl, file, reload or lora, so that new weights reach the servers")
        return self


class RolloutSettings(Config):
    """How groups are sampled and filtered."""

    groups: int = Field(8, ge=1)
    """Groups per round and rank that the stream aims at."""
    group_size: int = Field(16, ge=1)
    """Rollouts of one task."""
    filter: bool = True
    """Drop groups whose rollouts all have the same outcome: their group-relative advantages are 0. A critic learns from them."""
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_groups: int = Field(24, ge=1)
    """Groups per round that may be started while others are dropped."""
    concurrency: int = Field(64, ge=1)
    """Episodes open at once."""
    box_threads: int = Field(4, ge=1)
    staleness: Literal[0, 1] = 0
    """1: the next round is played while the last one is trained on, by weights one round older than the trainer's; needs an
    engine with its own copy of the weights. The importance ratio, trainer over engine, corrects for it."""
    grader: Literal["strict", "paper"] = "strict"
    """Whose verdict is the outcome. `paper`, the released gym's grader, pays for more than right answers: to show what a policy
    makes of that; the stage's name must then say `paper`."""
    verifier: str | None = None
    """Checkpoint folder of an outcome verifier (`recipes/verifier.py`), for the reward term of that name."""
    rewards: dict[str, float] = Field(default_factory=lambda: {"outcome": 1.0, "format": 0.1}, validate_default=True)
    """Reward terms and their weights (`rewards.shaping`). Filtering looks at the raw outcome only. The default is the paper's
    correctness and format; it does not publish the weights."""
    scale: Scale = "group"
    negative: float = Field(1.0, ge=0, le=1)
    """Factor on negative group-relative advantages. Below 1 a policy learns more from what worked than from what did not: a success
    shows the tokens that are right, a failure only that some token was wrong."""

    @field_validator("rewards")
    @classmethod
    def _known(cls, weights: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        verifier = info.data.get("verifier")
        check_weights(weights, verifier=verifier is not None)
        if verifier is not None and "verifier" not in weights:
            raise ValueError("rollouts.verifier is set, but no weight uses it: add the term 'verifier' (0 only logs it), or remove "
                             "rollouts.verifier")
        return weights

    @model_validator(mode="after")
    def _pairs(self) -> RolloutSettings:
        if self.filter and self.group_size < 8:
            raise ValueError(f"group_size = {self.group_size}: rollouts are compared within their group: take at least 8, or set "
                             "filter: false where a critic is trained")
        return self


def check_lora(lora: LoraSettings | None, key: str) -> None:
    """Refuse what only training on rows can do.

    Raises:
        ValueError: it is asked for.
    """
    if lora is None:
        return
    if lora.quantize:
        raise ValueError(f"{key}.quantize: the engine is given whole weights, which 4-bit ones are not: remove it; LoRA trains "
                         "without it")
    if lora.dropout:
        raise ValueError(f"{key}.dropout: rollouts are sampled without dropout, and their logprobs would not be the trainer's: "
                         "set 0")


class OnlineConfig(StageConfig):
    """One run of online reinforcement learning."""

    resume_ignores: ClassVar[frozenset[str]] = StageConfig.resume_ignores | {
        "keep_traces", "dump", "engine.servers.urls", "engine.servers.folder", "engine.servers.api_key_env"}
    """With where an engine lives: the same weights sample the same at another address."""
    model: ModelConfig
    datasets: tuple[str, ...] = Field(("mimic_iii", "medcalcbench"), min_length=1)
    builds: dict[str, BuildRequest] = Field(default_factory=dict)
    """How a dataset is built; default: the synthetic twin at the paper's counts."""
    tasks_per_dataset: int | None = Field(None, ge=1)
    """A seeded choice of training tasks; None: all."""
    priority: Priority = "uniform"
    """Which tasks are drawn; see `medcopilot.rl.tasks`."""
    sandbox: str = "auto"
    rollouts: RolloutSettings = RolloutSettings()
    engine: EngineSettings = EngineSettings()
    max_episodes: int | None = Field(None, ge=1)
    """Episodes played at most, over all ranks, kept or not; the learning rate anneals over whatever ends the run."""
    micro_batches: int = Field(4, ge=1)
    """Forward and backward passes that one optimiser step's rollouts are split into."""
    keep_traces: bool = False
    """Write every rollout to `<run>/traces-<name>/` (large)."""
    dump: bool = False
    """Write what each round is trained on to `<run>/rollouts/<name>/`, for `replay`."""
    replay: Path | None = None
    """Train on the rounds of this folder (another run's `rollouts/<name>`), without gym and engine."""
    log_steps: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _ends(self) -> OnlineConfig:
        if self.max_steps is None and self.max_seconds is None and self.max_episodes is None:
            raise ValueError("a run needs an end: set max_steps, max_seconds or max_episodes")
        if self.rollouts.grader == "paper" and "paper" not in self.name:
            raise ValueError(f"rollouts.grader: paper rewards what the strict grader calls wrong: say so in the name, e.g. "
                             f"{self.name}-paper")
        if self.model.checkpoint is None:
            raise ValueError("reinforcement learning starts from a checkpoint: set model.checkpoint, not model.tokenizer")
        check_lora(self.model.lora, "model.lora")
        servers = self.engine.servers
        if servers is not None and servers.sync == "lora" and self.model.lora is None:
            raise ValueError("engine.servers.sync: lora sends an adapter and there is none: set model.lora, or choose gloo, nccl, "
                             "file or reload")
        if self.dump and self.replay:
            raise ValueError("a replayed run has no rollouts of its own: leave out dump or replay")
        return self
