"""One run of an online stage: what GRPO and PPO have in common around their trainers.

Promises: starts from a checkpoint and ends in one; running it again resumes, also where the source of rounds stood, or finds
that it was done; a policy that has come to solve all or none of its tasks, and a replay that is used up, end a run early with
their checkpoint kept.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, set_seed

from env.files import atomic_write
from medcopilot.agent.render import ChatRenderer
from medcopilot.rl.dumps import DumpEnded
from medcopilot.rl.live import LivePolicy
from medcopilot.rl.ppo_settings import PpoConfig
from medcopilot.rl.rounds import Source
from medcopilot.rl.settings import OnlineConfig
from medcopilot.rl.shaped import check_scorer
from medcopilot.rl.source import open_source
from medcopilot.rl.stream import NothingToLearn
from medcopilot.train import loop, provenance
from medcopilot.train.adapters import adapted
from medcopilot.train.model import CheckpointMeta
from medcopilot.train.policy import load_policy


def run_online(config: OnlineConfig, arguments: Any, build: Callable[..., Any]) -> loop.StageResult:
    """Train, or resume, or find that it was done.

    Args:
        arguments: the trainer's; made before weights are loaded, since under ZeRO-3 they decide how that is done.
        build: `(config, arguments, checkpoint, source)`, the trainer; its `progress` is told of tokens.
    """
    if config.replay is None:  # a replayed round has its rewards
        check_scorer(config.rollouts.verifier)
    checkpoint = load_policy(config.model, config.seed)
    recipe = hashlib.blake2b(f"{config.digest()}/{checkpoint.digest}".encode(), digest_size=8).hexdigest()
    if loop.finished(config, recipe):
        return loop.StageResult(config.checkpoint, 0, 0, 0.0, None)
    state = loop.resumable(config, recipe)
    horizon = loop.Horizon(config.max_steps, config.max_seconds)
    progress = loop.Progress(config, horizon)
    rank, world = arguments.process_index, arguments.world_size
    if config.model.lora is not None:
        set_seed(config.seed)  # ranks that hold parts of an adapter must have begun with the same one
        checkpoint = checkpoint._replace(model=adapted(checkpoint.model, config.model.lora))
    live = None
    if config.replay is None:
        device = arguments.device if config.engine.kind == "transformers" else "cpu"  # vLLM has weights of its own on the GPU
        live = LivePolicy(checkpoint.model, config, ChatRenderer(checkpoint.tokenizer), device)
    with open_source(config, checkpoint, live, rank, world) as source:
        provenance.note(config, source.tags(), _parents(config), "tasks")
        if config.max_episodes is not None:
            most = config.max_episodes
            horizon.share = lambda: source.episodes * world / most
        trainer = build(config, arguments, checkpoint, source)
        if live is not None:
            live.trainer = trainer
        trainer.horizon, trainer.stage_optimizer, trainer.progress = horizon, config.optimizer, progress
        trainer.step_log.progress = progress
        saver = RoundSaves(source, trainer)
        saver.restore(state, rank)
        trainer.add_callback(saver)  # before the progress callback, which marks a state as complete
        try:
            loop.train(trainer, config, horizon, progress, state)
        except (NothingToLearn, DumpEnded) as reason:
            if not trainer.state.global_step:
                raise
            if rank == 0:
                print(f"{config.name}: ended early after step {trainer.state.global_step}: {reason}", file=sys.stderr)
        details = {"steps": trainer.state.global_step, **source.details(), "seconds": round(horizon.elapsed(), 1)}
    meta = CheckpointMeta(profile=checkpoint.meta.profile, policy_version=checkpoint.meta.policy_version + 1, stage=config.name,
                          parent=checkpoint.digest, recipe=recipe, details=details)
    loop.finish(trainer, checkpoint.tokenizer, config, meta)
    return loop.StageResult(config.checkpoint, trainer.state.global_step, progress.tokens, horizon.elapsed() - horizon.before,
                            progress.loss)


def _parents(config: OnlineConfig) -> list[tuple[provenance.Role, str | None]]:
    """Whose weights have a say in the policy's: its own start, the critic's, and the judge of its episodes."""
    found: list[tuple[provenance.Role, str | None]] = [("policy", config.model.checkpoint)]
    if isinstance(config, PpoConfig) and config.critic.checkpoint:
        found.append(("critic", config.critic.checkpoint))
    if config.rollouts.verifier:
        found.append(("verifier", config.rollouts.verifier))
    return found


class RoundSaves(TrainerCallback):
    """Resumable states between rounds only, with where the source of rounds and the trainer's own controls stand."""

    def __init__(self, source: Source, trainer: Any) -> None:
        self.source, self.trainer = source, trainer
        self._owed = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._owed |= control.should_save
        control.should_save = self._owed and not self.trainer.mid_round()
        self._owed &= not control.should_save

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)  # every rank has a source of its own
        atomic_write(folder / state_file(args.process_index),
                     json.dumps({"source": self.source.state(), "trainer": self.trainer.round_state()}))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()  # rank 0 marks the state as complete next

    def restore(self, folder: Path | None, rank: int = 0) -> None:
        """Put source and controls where an interrupted run left them."""
        if folder is not None and (folder / state_file(rank)).is_file():
            saved = json.loads((folder / state_file(rank)).read_text(encoding="utf-8"))
            self.source.restore(saved["source"])
            self.trainer.restore_round(saved["trainer"])


def state_file(rank: int) -> str:
    """Name of one rank's part."""
    return f"source.rank{rank}.json"
