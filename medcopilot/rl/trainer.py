"""GRPO on rounds of rollouts, live or replayed, with TRL's loss.

Promises: the loss is TRL's own (`GRPOTrainer._compute_loss`, version pinned by a contract test); only where batches come from
differs. Old logprobs are the engine's, so the clipped ratio corrects both for the update and for the difference between engine
and trainer. Observation tokens enter neither loss, KL, entropy nor token counts. A step whose loss is not finite, or whose
ratio is beyond all reason, is not taken (`guard`).
Does not cover: where rounds come from (`source`, `dumps`).

Batches enter through `_prepare_inputs`, one call above TRL's `_generate_and_score_completions`: TRL would shuffle the rows of a
round and pad every micro-batch to the longest of all, two to three times the tokens that there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from medcopilot.policies.sync_probe import trained_scores
from medcopilot.rl.batch import collate, per_episode, split_evenly, split_rows
from medcopilot.rl.grpo_settings import BY_TOKENS
from medcopilot.rl.guard import StepGuard
from medcopilot.rl.ppo_loss import mismatch
from medcopilot.rl.rounds import Row, Source
from medcopilot.rl.step_log import StepLog
from medcopilot.train import loop
from medcopilot.train.adapter_switch import switched_off
from medcopilot.train.chunked_loss import chunked_logprobs


@contextlib.contextmanager
def _rows_may_differ(accelerator: Any) -> Iterator[None]:
    """While TRL's loss is computed: what it gathers of every row (for a minimum and a maximum that pass over NaN) is filled up with
    NaN where a rank has fewer rows than another. TRL itself gives all ranks the same number, and gathers without looking."""
    if accelerator.num_processes == 1:
        yield
        return
    plain = accelerator.gather
    accelerator.gather = lambda values: plain(
        accelerator.pad_across_processes(values, dim=0, pad_index=float("nan")) if values.dim() == 1 else values)
    try:
        yield
    finally:
        del accelerator.gather


def no_reward(**_: Any) -> list[float]:
    """Stands where TRL wants a reward function; rewards come with the rounds."""
    raise RuntimeError("rounds bring their own rewards")


class StreamGRPOTrainer(loop.StageTrainer, GRPOTrainer):
    """TRL's trainer on a `Source` of rounds.

    Args:
        episode_average: every rollout weighs the same, however many tokens it has, namely one over their number, or over the number
            that a round wants where it found fewer; otherwise every token does.
        observations: train on what the environment wrote, too: an ablation that shows why nobody should.
    """

    def __init__(self, *, source: Source, model: Any, args: GRPOConfig, processing_class: Any, episode_average: bool = False,
                 observations: bool = False, guard: StepGuard | None = None, **rest: Any) -> None:
        # TRL draws prompts from a dataset; ours are placeholders, one per group, enough for many steps
        placeholders = Dataset.from_dict({"prompt": ["stream"] * (args.generation_batch_size // args.num_generations) * 100})
        # with a KL term TRL would put a second adapter beside a LoRA one, for a reference; ours is the adapter switched off
        beta, adapted = args.beta, hasattr(model, "peft_config")
        args.beta = 0.0 if adapted else beta
        super().__init__(model=model, reward_funcs=no_reward, args=args, train_dataset=placeholders,
                         processing_class=processing_class, **rest)
        self.beta = args.beta = beta
        self._adapted = adapted
        self.source = source
        self.episode_average = episode_average
        self.observations = observations
        self.guard = guard or StepGuard()
        self.add_callback(self.guard)
        self.step_log = StepLog(self._metrics["train"])
        self.add_callback(self.step_log)
        self._last_logps: Tensor | None = None
        self._wanted: Tensor | None = None
        self._compact = self.accelerator.device.type == "cpu" and self.accelerator.num_processes == 1
        self.progress: loop.Progress | None = None

    def mid_round(self) -> bool:
        """Whether part of a round is still to be learnt from: not a moment to write a state."""
        return bool(self._step % (self.args.steps_per_generation * self.num_iterations))

    def round_state(self) -> dict[str, Any]:
        """Plain data for `restore_round`."""
        return {"skipped": self.guard.skipped}

    def restore_round(self, state: dict[str, Any]) -> None:
        """Go on from `round_state()`."""
        self.guard.skipped = int(state["skipped"])

    def probe(self, rows: list[list[int]]) -> list[list[float]]:
        """See `sync_probe.trained_scores`, through the wrapper. Every rank must call it."""
        return trained_scores(self.model_wrapped, rows, self.model)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """The next micro-batch; a new round of rollouts when the last one is used up. The argument is a placeholder."""
        if not self.model.training:
            raise RuntimeError("evaluate with `medcopilot eval`: rounds are of training tasks only")
        every = self.args.steps_per_generation * self.num_iterations
        if self._step % every == 0 or self._buffered_inputs is None:
            self._buffered_inputs = self._next_round()
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _next_round(self) -> list[dict[str, Tensor]]:
        """Rollouts with the present weights, as `steps_per_generation` micro-batches in TRL's form."""
        played = self.step_log.next_round(self.source, self.state.global_step)
        self._metrics["train"]["skipped"].append(float(self.guard.skipped))
        device = self.accelerator.device
        parts = self._split(played.rows)
        padded = [collate(part, self._tokenizer.pad_token_id) for part in parts]
        batches = [{name: tensor.to(device) for name, tensor in batch.items()} for batch in padded]
        if self.observations:
            for batch in batches:
                self._unmask_observations(batch)
        lengths = [(batch["completion_mask"] * batch["tool_mask"]).sum(1) for batch in batches]  # trained tokens per rollout
        counted = torch.stack([torch.stack([length.sum(), (length > 0).sum()]) for length in lengths]).sum(0)
        tokens, rollouts = self.accelerator.gather(counted[None]).sum(0)
        # a round that found fewer groups than it wanted knows less: it takes a smaller step, not a noisier one of the same size
        rollouts = rollouts.clamp(min=played.wanted)
        for batch, length in zip(batches, lengths, strict=True):
            batch["num_items_in_batch"] = tokens
            if self.episode_average:
                batch["advantages"] = per_episode(batch["advantages"], length, tokens, rollouts)
            if self.beta != 0.0:
                with self.step_log.phase("evaluate"):
                    batch["ref_per_token_logps"] = self._reference(batch)
        self.step_log.ready()
        return batches

    def _split(self, rows: list[Row]) -> list[list[Row]]:
        """Micro-batches that suit the loss: of about as many tokens, or of equally many rows where it averages over rows."""
        count = self.args.steps_per_generation
        if self.loss_type in BY_TOKENS:
            return split_rows(rows, count)
        most = self.accelerator.gather(torch.tensor([len(rows)], device=self.accelerator.device)).max().item()
        return split_evenly(rows, count, -(-int(most) // count))

    @torch.no_grad()
    def _unmask_observations(self, batch: dict[str, Tensor]) -> None:
        """Give all that follows the first sampled token a loss; where the engine has no logprobs the trainer's stand in."""
        sampled = batch["completion_mask"] * batch["tool_mask"]
        batch["tool_mask"] = batch["completion_mask"] * (sampled.cumsum(1) > 0)
        logps = self._score_frozen(self.model_wrapped, batch)
        batch["old_per_token_logps"] = torch.where(sampled.bool(), batch["old_per_token_logps"], logps * batch["tool_mask"])

    @torch.no_grad()
    def _reference(self, batch: dict[str, Tensor]) -> Tensor:
        if not self._adapted:
            return self._score_frozen(self.ref_model, batch)
        with switched_off(self.model):
            return self._score_frozen(self.model_wrapped, batch)

    def _score_frozen(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        self._wanted = batch["completion_mask"] * batch["tool_mask"]
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
        logps, _, _ = self._get_per_token_logps_and_entropies(model, ids, mask, batch["completion_ids"].shape[1])
        return torch.as_tensor(logps)

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
            hidden = model.get_decoder()(input_ids=input_ids, use_cache=False).last_hidden_state
        columns = wanted.shape[1]
        chosen = hidden[:, -columns - 1: -1][wanted].float()
        weight = model.get_output_embeddings().weight.float()
        picked, entropy = chunked_logprobs(chosen, weight, input_ids[:, -columns:][wanted], self.temperature)
        blank = hidden.new_zeros(wanted.shape, dtype=torch.float32)
        # without a wanted token the sum keeps the loss a function of the model, with gradient 0
        logps = blank.masked_scatter(wanted, picked) if len(picked) else blank + 0.0 * hidden.sum().float()
        return logps, blank.masked_scatter(wanted, entropy.detach()), None

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss, and how far engine and trainer are apart."""
        if self.progress is not None:
            columns = inputs["prompt_ids"].shape[1] + inputs["completion_ids"].shape[1]
            self.progress.tokens += len(inputs["prompt_ids"]) * columns * self.accelerator.num_processes
        self._wanted = inputs["completion_mask"] * inputs["tool_mask"]
        with _rows_may_differ(self.accelerator):
            loss: Tensor = super()._compute_loss(model, inputs)
        assert self._last_logps is not None
        wanted = self._wanted.bool()
        engine, trainer = inputs["old_per_token_logps"][wanted], self._last_logps[wanted]
        for name, value in mismatch(engine, trainer).items():
            self._metrics["train"][name].append(value)
        return self.guard.check(self, loss, trainer - engine)
