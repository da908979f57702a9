"""One run of GRPO: live episodes in the sandbox, updates with TRL's loss.

Promises: starts from a checkpoint and ends in one; tasks of the training split only; running it again resumes or finds that it
was done; everything random comes from `seed`.
Does not cover: the parts (`stream`, `batch`, `trainer`), evaluation.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import Field, model_validator
from trl import GRPOConfig

from env.datasets import BuildRequest
from env.gym import Gym
from env.sandbox import open_backend
from env.task import Task
from medcopilot.agent.profiles import limits_for
from medcopilot.agent.render import ChatRenderer
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.rl.stream import NothingToLearn, RolloutSettings, TrajectoryStream
from medcopilot.rl.tasks import Priority, TaskSampler
from medcopilot.rl.trainer import StreamGRPOTrainer, StreamState
from medcopilot.rollout.engine import RolloutEngine
from medcopilot.rollout.sample import build_all, choose_tasks
from medcopilot.runs import ShardWriter
from medcopilot.trace import Trace
from medcopilot.train import loop
from medcopilot.train.config import Config, StageConfig
from medcopilot.train.model import Checkpoint, CheckpointMeta
from medcopilot.train.optim import OptimizerConfig
from medcopilot.train.sft import ModelConfig, load_policy


class EngineSettings(Config):
    """What generates."""

    kind: Literal["transformers", "vllm", "vllm_server"] = "transformers"
    """`vllm_server`: the servers named under `servers`; the other two generate in this process."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the engine's linear layers. The nearer to the trainer's arithmetic, the smaller `mismatch/*` in the metrics."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Passed to the policy's constructor."""
    servers: ServerSettings | None = None
    """Addresses, deadlines and weight sync of `vllm_server`; each rank takes its own share of them."""

    @model_validator(mode="after")
    def _servers_that_learn(self) -> EngineSettings:
        if (self.servers is not None) != (self.kind == "vllm_server"):
            raise ValueError("servers (with urls and sync) belongs to kind: vllm_server, and only to it")
        if self.servers is not None and self.servers.sync == "none":
            raise ValueError("servers.sync is none: choose gloo, nccl, file, reload or lora, so that new weights reach the servers")
        return self


class LossSettings(Config):
    """TRL's loss. Names in brackets are TRL's."""

    type: Literal["dapo", "cispo"] = "dapo"
    """[loss_type] Those that are normalised by the tokens of all micro-batches: micro-batches differ in rows."""
    average: Literal["token", "episode"] = "token"
    """What weighs the same: each sampled token, or each rollout (the mean over its tokens). `token` is the unbiased gradient;
    `episode` has less noise where failures ramble on, and a round that found fewer groups than it wanted takes a smaller step."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """[epsilon]"""
    clip_high: float = Field(0.28, gt=0)
    """[epsilon_high]"""
    ratio_cap: float | None = Field(2.0, gt=1)
    """[delta] Largest importance ratio of a token, whatever the sign of its advantage. The ratio is trainer over engine, so this
    is the cap of truncated importance sampling; plain clipping leaves it open where advantages are negative."""
    kl: float = Field(0.0, ge=0)
    """[beta] Weight of the KL term against the starting checkpoint; 0: no reference model is loaded."""
    iterations: int = Field(1, ge=1)
    """[num_iterations] Passes over one round of rollouts."""

    @model_validator(mode="after")
    def _cap_above_clip(self) -> LossSettings:
        if self.ratio_cap is not None and self.ratio_cap <= 1 + self.clip_high:
            raise ValueError(f"ratio_cap must be above 1 + clip_high = {1 + self.clip_high:g}")
        return self


class GrpoConfig(StageConfig):
    """One run of GRPO."""

    name: str = "grpo"
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
    loss: LossSettings = LossSettings()
    micro_batches: int = Field(4, ge=1)
    """Forward and backward passes that one step's rollouts are split into."""
    optimizer: OptimizerConfig = OptimizerConfig(name="adamw", lr=2e-4, schedule="constant", warmup_steps=3, betas=(0.9, 0.95))
    keep_traces: bool = False
    """Write every rollout to `<run>/traces-<name>/` (large)."""
    log_steps: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _ends(self) -> GrpoConfig:
        if self.max_steps is None and self.max_seconds is None:
            raise ValueError("a run needs an end: set max_steps or max_seconds")
        if self.rollouts.groups * self.rollouts.group_size % self.micro_batches:
            raise ValueError("micro_batches must divide rollouts.groups x rollouts.group_size")
        if self.model.lora is not None:
            raise ValueError("GRPO trains all weights; merge the adapter into the checkpoint first")
        return self


def run_grpo(config: GrpoConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    A policy that has come to solve all or none of its tasks ends the run early; its checkpoint is kept.

    Raises:
        UserError: checkpoint, datasets or settings that do not fit together, no sandbox, or nothing to learn from at the start.
    """
    loop.prepare_torch(config)
    arguments = make_arguments(config)
    source = load_policy(config.model, config.seed)
    recipe = hashlib.blake2b(f"{config.digest()}/{source.digest}".encode(), digest_size=8).hexdigest()
    if loop.finished(config, recipe):
        return loop.StageResult(config.checkpoint, 0, 0, 0.0, None)
    state = loop.resumable(config, recipe)
    horizon = loop.Horizon(config.max_steps, config.max_seconds)
    progress = loop.Progress(config, horizon)
    with open_stream(config, source, arguments.process_index) as (stream, sync):
        trainer = StreamGRPOTrainer(stream=stream, sync=sync, model=source.model, args=arguments, processing_class=source.tokenizer,
                                    episode_average=config.loss.average == "episode")
        trainer.horizon, trainer.stage_optimizer, trainer.progress = horizon, config.optimizer, progress
        trainer.engine_metrics = stream.player.policy.metrics
        saver = StreamState(stream)
        saver.restore(state)
        trainer.add_callback(saver)  # before the progress callback, which marks a state as complete
        try:
            loop.train(trainer, config, horizon, progress, state)
        except NothingToLearn as reason:
            if not trainer.state.global_step:
                raise
            print(f"{config.name}: ended early after step {trainer.state.global_step}: {reason}", file=sys.stderr)
    meta = CheckpointMeta(profile=source.meta.profile, policy_version=source.meta.policy_version + 1, stage=config.name,
                          parent=source.digest, recipe=recipe, details={"steps": trainer.state.global_step,
                                                                        "groups_drawn": stream.sampler.draws,
                                                                        "seconds": round(horizon.elapsed(), 1)})
    loop.finish(trainer, source.tokenizer, config, meta)
    return loop.StageResult(config.checkpoint, trainer.state.global_step, progress.tokens, horizon.elapsed() - horizon.before,
                            progress.loss)


def make_arguments(config: GrpoConfig) -> GRPOConfig:
    """TRL's arguments."""
    settings, loss = config.rollouts, config.loss
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.micro_batches)
    arguments = GRPOConfig(
        **shared, max_steps=config.max_steps or 1_000_000_000, gradient_checkpointing=config.model.gradient_checkpointing,
        per_device_train_batch_size=settings.groups * settings.group_size // config.micro_batches,
        steps_per_generation=config.micro_batches, num_generations=settings.group_size, temperature=settings.temperature,
        top_p=settings.top_p, beta=loss.kl, epsilon=loss.clip_low, epsilon_high=loss.clip_high, delta=loss.ratio_cap,
        loss_type=loss.type, num_iterations=loss.iterations, ignore_data_skip=True, log_completions=False)
    return arguments


@contextlib.contextmanager
def open_stream(config: GrpoConfig, source: Checkpoint, rank: int = 0) -> Iterator[tuple[TrajectoryStream, Callable[[], int]]]:
    """Gym, engine and stream of one rank, and what makes the engine serve the model's present weights; closes them all."""
    profile, settings = source.meta.profile, config.rollouts
    builts = build_all(config.datasets, config.builds)
    tasks = [task for built in builts.values() for task in choose_tasks(built, "train", (), config.tasks_per_dataset, config.seed)]
    with contextlib.ExitStack() as stack:
        backend = open_backend(config.sandbox)
        stack.callback(backend.close)
        policy = make_policy(config, source)
        stack.callback(policy.close)
        engine = RolloutEngine(policy, Gym(backend, builts.values()), concurrency=settings.concurrency,
                               box_threads=settings.box_threads)
        stack.callback(engine.close)
        keep: Callable[[Trace], None] = lambda _: None  # noqa: E731
        if config.keep_traces:
            keep = stack.enter_context(ShardWriter(config.run / f"traces-{config.name}" / f"rank{rank}.jsonl")).write
        sampler = TaskSampler(tasks, seed=config.seed * 1009 + rank, priority=config.priority)
        stream = TrajectoryStream(engine, sampler, settings, profile=profile, turn_limit=_turn_limit(tasks[0], profile),
                                  on_trace=keep, seed=config.seed * 1009 + rank)
        yield stream, policy.update


def make_policy(config: GrpoConfig, source: Checkpoint) -> Any:
    """The engine that generates with the weights under training."""
    settings, renderer = config.engine, ChatRenderer(source.tokenizer)
    options: dict[str, Any] = {"dtype": settings.dtype, "name": config.name, "version": source.meta.policy_version}
    options |= settings.options
    if settings.kind == "vllm_server" and settings.servers is not None:
        from medcopilot.policies.vllm_server import VllmServerPolicy

        del options["dtype"]  # the servers' own
        return VllmServerPolicy.from_model(source.model, source.tokenizer, renderer, settings.servers.share(), **options)
    if settings.kind == "vllm":
        from medcopilot.policies.vllm_offline import VllmPolicy

        return VllmPolicy.from_model(source.model, source.tokenizer, renderer, **options)
    from medcopilot.policies.transformers_engine import TransformersPolicy

    options.setdefault("slots", config.rollouts.concurrency)
    return TransformersPolicy(source.model, source.tokenizer, renderer, **options)


def _turn_limit(task: Task, profile: str) -> int:
    return limits_for(task.view, profile).turns
