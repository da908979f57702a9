"""GRPO on a stream of live episodes, with TRL's loss.

Promises: the loss is TRL's own (`GRPOTrainer._compute_loss`, version pinned by a contract test); only where batches come from
differs. Old logprobs are the engine's, so the clipped ratio corrects both for the update and for the difference between engine
and trainer. Observation tokens enter neither loss, KL, entropy nor token counts. Before every round of rollouts the engine
serves the trainer's present weights.
Does not cover: models whose weights are sharded over ranks (ZeRO-3, FSDP): `sync` needs them whole.

Batches enter through `_prepare_inputs`, one call above TRL's `_generate_and_score_completions`: TRL would shuffle the rows of a
round and pad every micro-batch to the longest of all, two to three times the tokens that there are.
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

from medcopilot.rl.batch import collate, per_episode, rows_of, split_rows
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
        episode_average: every rollout weighs the same, however many tokens it has, namely one over their number, or over the number
            that a round wants where it found fewer; otherwise every token does.
    """

    def __init__(self, *, stream: TrajectoryStream, sync: Callable[[], int], model: Any, args: GRPOConfig, processing_class: Any,
                 episode_average: bool = False, **rest: Any) -> None:
        # TRL draws prompts from a dataset; ours are placeholders, one per group, enough for many steps
        placeholders = Dataset.from_dict({"prompt": ["stream"] * (args.generation_batch_size // args.num_generations) * 100})
        super().__init__(model=model, reward_funcs=no_reward, args=args, train_dataset=placeholders,
                         processing_class=processing_class, **rest)
        self.stream = stream
        self.sync = sync
        self.episode_average = episode_average
        self._synced: int | None = None
        self._update_clock: float | None = None
        self._last_logps: Tensor | None = None
        self._wanted: Tensor | None = None
        self._compact = self.accelerator.device.type == "cpu" and self.accelerator.num_processes == 1
        self.progress: loop.Progress | None = None
        self.engine_metrics: Callable[[], dict[str, float]] = dict
        """What the engine has to say once per round, e.g. how well served and trained weights agree."""

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """The next micro-batch; a new round of rollouts when the last one is used up. The argument is a placeholder."""
        if not self.model.training:
            raise RuntimeError("evaluate with `medcopilot eval`: the stream has training tasks only")
        every = self.args.steps_per_generation * self.num_iterations
        if self._step % every == 0 or self._buffered_inputs is None:
            self._buffered_inputs = self._next_round()
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _next_round(self) -> list[dict[str, Tensor]]:
        """Rollouts with the present weights, as `steps_per_generation` micro-batches in TRL's form."""
        metrics = self._metrics["train"]
        now = time.perf_counter()
        if self._update_clock is not None:
            metrics["time/update"].append(now - self._update_clock)
        if self._synced != self.state.global_step:
            self.sync()
            self._synced = self.state.global_step
            metrics["time/sync"].append(time.perf_counter() - now)
        harvest = self.stream.next()
        for name, value in (harvest.metrics | self.engine_metrics()).items():
            metrics[name].append(value)
        device = self.accelerator.device
        parts = split_rows(rows_of(harvest.groups), self.args.steps_per_generation)
        padded = [collate(part, self._tokenizer.pad_token_id) for part in parts]
        batches = [{name: tensor.to(device) for name, tensor in batch.items()} for batch in padded]
        lengths = [(batch["completion_mask"] * batch["tool_mask"]).sum(1) for batch in batches]  # sampled tokens per rollout
        counted = torch.stack([torch.stack([length.sum(), (length > 0).sum()]) for length in lengths]).sum(0)
        tokens, rollouts = self.accelerator.gather(counted[None]).sum(0)
        # a round that found fewer groups than it wanted knows less: it takes a smaller step, not a noisier one of the same size
        rollouts = rollouts.clamp(min=self.args.generation_batch_size)
        for batch, length in zip(batches, lengths, strict=True):
            batch["num_items_in_batch"] = tokens
            if self.episode_average:
                batch["advantages"] = per_episode(batch["advantages"], length, tokens, rollouts)
            if self.beta != 0.0:
                batch["ref_per_token_logps"] = self._reference(batch)
        self._update_clock = time.perf_counter()
        return batches

    @torch.no_grad()
    def _reference(self, batch: dict[str, Tensor]) -> Tensor:
        self._wanted = batch["completion_mask"] * batch["tool_mask"]
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
        logps, _, _ = self._get_per_token_logps_and_entropies(self.ref_model, ids, mask, batch["completion_ids"].shape[1])
        return logps

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int,
                                           *args: Any, **kwargs: Any) -> Any:
        """TRL's, or on a single CPU the same for sampled tokens only: TRL's head scores every position, prompts included, and
        again in the backward pass, which costs as much there as the rest of the model."""
        if self._compact and self._wanted is not None:
            result = self._compact_logps(model, input_ids, self._wanted.bool())
        else:
            result = super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, logits_to_keep, *args, **kwargs)
        self._last_logps = result[0].detach()
        return result

    def _compact_logps(self, model: Any, input_ids: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, None]:
        """Logprobs and entropies (B, C) at the wanted completion tokens, 0 elsewhere. Rows are padded on the right only."""
        with self.accelerator.autocast():
            hidden = model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        columns = wanted.shape[1]
        chosen = hidden[:, -columns - 1: -1][wanted].float()
        logprobs = (chosen @ model.get_output_embeddings().weight.float().t() / self.temperature).log_softmax(-1)
        picked = logprobs.gather(-1, input_ids[:, -columns:][wanted][:, None])[:, 0]
        entropy = -(logprobs.detach().exp() * logprobs.detach()).sum(-1)
        blank = hidden.new_zeros(wanted.shape, dtype=torch.float32)
        # without a wanted token the sum keeps the loss a function of the model, with gradient 0
        logps = blank.masked_scatter(wanted, picked) if len(picked) else blank + 0.0 * hidden.sum().float()
        return logps, blank.masked_scatter(wanted, entropy), None

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss, and how far engine and trainer are apart."""
        if self.progress is not None:
            columns = inputs["prompt_ids"].shape[1] + inputs["completion_ids"].shape[1]
            self.progress.tokens += len(inputs["prompt_ids"]) * columns * self.accelerator.num_processes
        self._wanted = inputs["completion_mask"] * inputs["tool_mask"]
        loss: Tensor = super()._compute_loss(model, inputs)
        assert self._last_logps is not None
        ratio = (self._last_logps - inputs["old_per_token_logps"])[self._wanted.bool()]
        if len(ratio):
            metrics = self._metrics["train"]
            metrics["mismatch/mean"].append(ratio.abs().mean().item())
            metrics["mismatch/max"].append(ratio.abs().max().item())
            # k3 estimate of KL(engine || trainer), J. Schulman 2020, http://joschu.net/blog/kl-approx.html
            metrics["mismatch/kl"].append((ratio.exp() - 1 - ratio).mean().item())
        return loss


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
