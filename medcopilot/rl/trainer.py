"""GRPO on a stream of live episodes, with TRL's loss.

Promises: the loss is TRL's own (`GRPOTrainer._compute_loss`, version pinned by a contract test); only where the batch comes
from differs. Old logprobs are the engine's, so the clipped ratio corrects both for the update and for the difference between
engine and trainer. Observation tokens enter neither loss, KL, entropy nor token counts. Before every round of rollouts the
engine serves the trainer's present weights.
Does not cover: models whose weights are sharded over ranks (ZeRO-3, FSDP): `sync` needs them whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from medcopilot.rl.batch import collate, rows_of
from medcopilot.rl.stream import TrajectoryStream
from medcopilot.train import loop

STREAM_STATE = "stream.json"


def no_reward(**_: Any) -> list[float]:
    """Stands where TRL wants a reward function; rewards come with the stream."""
    raise RuntimeError("the stream brings its own rewards")


class StreamGRPOTrainer(loop.StageTrainer, GRPOTrainer):
    """TRL's trainer on a `TrajectoryStream`.

    Args:
        stream: where groups come from.
        sync: makes the engine serve the model's present weights; returns their version.
    """

    def __init__(self, *, stream: TrajectoryStream, sync: Callable[[], int], model: Any, args: GRPOConfig, processing_class: Any,
                 **rest: Any) -> None:
        # TRL draws prompts from a dataset; ours are placeholders, one per group, enough for many steps
        placeholders = Dataset.from_dict({"prompt": ["stream"] * (args.generation_batch_size // args.num_generations) * 100})
        super().__init__(model=model, reward_funcs=no_reward, args=args, train_dataset=placeholders,
                         processing_class=processing_class, **rest)
        self.stream = stream
        self.sync = sync
        self._synced: int | None = None
        self._update_clock: float | None = None
        self._last_logps: Tensor | None = None
        self.progress: loop.Progress | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """The next groups of the stream as TRL's tensor dictionary. `inputs` are placeholders."""
        metrics = self._metrics["train"]
        now = time.perf_counter()
        if self._update_clock is not None:
            metrics["time/update"].append(now - self._update_clock)
        if self._synced != self.state.global_step:
            self.sync()
            self._synced = self.state.global_step
            metrics["time/sync"].append(time.perf_counter() - now)
        harvest = self.stream.next()
        for name, value in harvest.metrics.items():
            metrics[name].append(value)
        batch = collate(rows_of(harvest.groups), self._tokenizer.pad_token_id, self.args.steps_per_generation)
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        loss_mask = batch["completion_mask"] * batch["tool_mask"]
        batch["num_items_in_batch"] = self.accelerator.gather(loss_mask.sum()).sum()
        if self.beta != 0.0:
            batch["ref_per_token_logps"] = self._reference(batch)
        self._update_clock = time.perf_counter()
        return batch

    @torch.no_grad()
    def _reference(self, batch: dict[str, Tensor]) -> Tensor:
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
        logps, _, _ = self._get_per_token_logps_and_entropies(self.ref_model, ids, mask, batch["completion_ids"].shape[1],
                                                              batch_size=self.args.per_device_train_batch_size)
        return logps

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._last_logps = result[0].detach()
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss on columns that hold something, and how far engine and trainer are apart."""
        inputs = trim(inputs)
        if self.progress is not None:
            columns = inputs["prompt_ids"].shape[1] + inputs["completion_ids"].shape[1]
            self.progress.tokens += len(inputs["prompt_ids"]) * columns * self.accelerator.num_processes
        loss: Tensor = super()._compute_loss(model, inputs)
        mask = (inputs["completion_mask"] * inputs["tool_mask"]).bool()
        assert self._last_logps is not None
        ratio = (self._last_logps - inputs["old_per_token_logps"])[mask]
        if len(ratio):
            metrics = self._metrics["train"]
            metrics["mismatch/mean"].append(ratio.abs().mean().item())
            metrics["mismatch/max"].append(ratio.abs().max().item())
            # k3 estimate of KL(engine || trainer), J. Schulman 2020, http://joschu.net/blog/kl-approx.html
            metrics["mismatch/kl"].append((ratio.exp() - 1 - ratio).mean().item())
        return loss


def trim(inputs: dict[str, Any]) -> dict[str, Any]:
    """Without the columns that are padding in every row of a micro-batch."""
    width = max(1, int(inputs["completion_mask"].sum(1).max()))
    return {name: value[:, :width] if name.startswith(("completion_", "tool_", "old_", "ref_")) else value
            for name, value in inputs.items()}


class StreamState(TrainerCallback):
    """Saves with every resumable state where the stream stands."""

    def __init__(self, stream: TrajectoryStream) -> None:
        self.stream = stream

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / STREAM_STATE).write_text(json.dumps(self.stream.state()), encoding="utf-8")

    def restore(self, folder: Path | None) -> None:
        """Put the stream where an interrupted run left it."""
        if folder is not None and (folder / STREAM_STATE).is_file():
            self.stream.restore(json.loads((folder / STREAM_STATE).read_text(encoding="utf-8")))
