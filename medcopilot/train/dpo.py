"""Direct preference optimisation on exact token ids, on TRL's DPOTrainer, with observation tokens masked.

Promises: after the shared opening only tokens that the policy sampled count, on both sides, in the policy's and in the
reference's sums and in the added likelihood term; reference log-probabilities are computed once, before training, and kept beside
the run; pairs that are too long are left out and counted, never cut. From any checkpoint, an SFT's or a base model's; with LoRA the
reference is the model without its adapters.
Does not cover: making the pairs (`medcopilot.data.pairs`). Sums of log-ratios favour short answers where lengths differ much:
`loss: sigmoid_norm` or `ipo` divide by the length.
Source: Rafailov et al. 2023 (arXiv 2305.18290); label smoothing, Mitchell 2023 (conservative DPO,
https://ericmitchell.ai/cdpo.pdf); likelihood term as in RPO, Pang et al. 2024 (arXiv 2404.19733).
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from datasets import Dataset, disable_progress_bars
from torch.utils.data import DataLoader
from trl import DPOConfig as TrlConfig
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference, prepare_deepspeed

from env.errors import UserError
from medcopilot.data.rows import read_rows
from medcopilot.train import loop
from medcopilot.train.adapters import peft_settings
from medcopilot.train.chunked_loss import use_chunked_head
from medcopilot.train.model import Checkpoint
from medcopilot.train.policy import check_vocabulary
from medcopilot.train.reference import SIDES, ReferenceCache
from medcopilot.train.settings import DpoConfig
from medcopilot.train.stage import train_on_rows

COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids", "chosen_mask", "rejected_mask")


class MaskedPairs(DataCollatorForPreference):
    """TRL's collator, with the per-token masks of both sides in `completion_mask`."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        mask = torch.zeros_like(batch["completion_mask"])
        sides = [(row, side) for side in ("chosen", "rejected") for row in examples]
        for i, (row, side) in enumerate(sides):
            start = len(row["prompt_ids"])
            mask[i, start : start + len(row[f"{side}_ids"])] = torch.tensor(row[f"{side}_mask"], dtype=mask.dtype)
        batch["completion_mask"] = mask
        return batch


class MaskedDpoTrainer(loop.StageTrainer, DPOTrainer):
    """TRL's trainer on rows that are token ids already.

    Args:
        reference: where the reference's sums are kept.
    """

    progress: loop.Progress | None = None

    def __init__(self, *args: Any, reference: ReferenceCache, **rest: Any) -> None:
        self.reference = reference
        super().__init__(*args, **rest)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            self._signature_columns = [*COLUMNS, "ref_chosen_logps", "ref_rejected_logps"]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """In place of TRL's, whose file lies in a temporary folder of each process: lost with it, and unknown to other ranks."""
        use_chunked_head(self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model)
        box = [self.reference.read() if self.accelerator.is_main_process else None]
        sums = broadcast_object_list(box, from_process=0)[0]
        if sums is None:
            sums = self._reference_sums(dataset, batch_size)
            if self.accelerator.is_main_process:
                self.reference.write(sums)
        for side in SIDES:
            dataset = dataset.add_column(f"ref_{side}_logps", sums[side].numpy())
        return dataset

    def _reference_sums(self, dataset: Any, batch_size: int) -> dict[str, torch.Tensor]:
        """Of all pairs, on every rank; pairs of similar length together."""
        order = np.argsort([len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in dataset],
                           kind="stable")
        loader = self.accelerator.prepare(DataLoader(dataset.select(order), batch_size=batch_size, collate_fn=self.data_collator))
        model = self.ref_model or self.model
        if self.ref_model is None and self.is_deepspeed_enabled:  # its weights are not in place before training
            model = self._precompute_engine = prepare_deepspeed(self.model, self.accelerator)
        elif self.ref_model is None and self.is_fsdp_enabled:
            model.to(self.accelerator.device)  # it lies on the CPU until training begins
        parts = [self.accelerator.gather_for_metrics(self.compute_ref_log_probs(model, batch)) for batch in loader]
        back = torch.from_numpy(np.argsort(order))
        return {side: torch.cat([part[i].float().cpu() for part in parts])[back] for i, side in enumerate(SIDES)}

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        if self.progress is not None:
            self.progress.tokens += inputs["input_ids"].numel() * self.accelerator.num_processes
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


def run_dpo(config: DpoConfig) -> loop.StageResult:
    """Train, or resume, or find that it was done. Returns where the checkpoint is and how fast it went.

    Raises:
        UserError: pairs, checkpoint or settings that do not fit together.
    """
    loop.prepare_torch(config)
    _quiet()
    arguments = _arguments(config)  # first: under ZeRO-3 it decides how weights are loaded
    rows = read_rows(config.data, COLUMNS)
    return train_on_rows(config, rows, arguments, unit="pairs", fitting=_fitting, build=build_trainer)


def build_trainer(config: DpoConfig, arguments: TrlConfig, source: Checkpoint, rows: list[dict[str, Any]]
                  ) -> tuple[MaskedDpoTrainer, loop.Horizon, loop.Progress]:
    """The trainer with its reference log-probabilities computed."""
    data = Dataset.from_list([{name: row[name] for name in COLUMNS} for row in rows])
    per_step = config.batch_pairs * config.accumulation * arguments.world_size
    steps = max(1, round(config.epochs * -(-len(rows) // per_step)))
    steps = min(steps, config.max_steps or steps)
    arguments.max_steps = steps
    horizon = loop.Horizon(steps, config.max_seconds)
    progress = loop.Progress(config, horizon)
    trainer = MaskedDpoTrainer(model=source.model, args=arguments, train_dataset=data, processing_class=source.tokenizer,
                               data_collator=MaskedPairs(pad_token_id=source.tokenizer.pad_token_id),
                               reference=ReferenceCache.of(config, rows, source.digest), peft_config=peft_settings(config.model))
    trainer.horizon, trainer.stage_optimizer, trainer.progress = horizon, config.optimizer, progress
    return trainer, horizon, progress


def _quiet() -> None:
    disable_progress_bars()
    os.environ.setdefault("TQDM_DISABLE", "1")


def _arguments(config: DpoConfig) -> TrlConfig:
    losses = {str(config.loss): 1.0}
    if config.label_smoothing:
        # TRL's `sigmoid`, l(z) = -log sigmoid(z), ignores the smoothing e; its `robust` is ((1 - e) l(z) - e l(-z)) / (1 - 2 e).
        # With l(-z) = l(z) + z the smoothed loss (1 - e) l(z) + e l(-z) is (2 - 2 e) sigmoid - (1 - 2 e) robust.
        losses = {"sigmoid": 2 - 2 * config.label_smoothing, "robust": 2 * config.label_smoothing - 1}
    if config.nll:
        losses["sft"] = config.nll
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.accumulation)
    return TrlConfig(**shared, loss_type=list(losses), loss_weights=list(losses.values()), beta=config.beta,
                     label_smoothing=config.label_smoothing, max_length=None, precompute_ref_log_probs=True,
                     precompute_ref_batch_size=config.batch_pairs, per_device_train_batch_size=config.batch_pairs,
                     gradient_checkpointing=config.model.gradient_checkpointing)


def _fitting(config: DpoConfig, rows: list[dict[str, Any]], source: Checkpoint) -> list[dict[str, Any]]:
    limit = min(config.max_length or sys.maxsize, int(source.model.config.max_position_embeddings))
    kept = []
    for number, row in enumerate(rows, start=1):
        for side in ("chosen", "rejected"):
            if len(row[f"{side}_ids"]) != len(row[f"{side}_mask"]):
                raise UserError(f"{config.data} row {number}: {side}_ids and {side}_mask differ in length: export the pairs again")
        if len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) <= limit:
            kept.append(row)
    if not kept:
        raise UserError(f"{config.data}: no pair fits into max_length = {limit}: raise max_length")
    check_vocabulary(config.data, source.model, (token for row in kept for name in COLUMNS[:3] for token in row[name]))
    if len(kept) < len(rows):
        print(f"{config.name}: left out {len(rows) - len(kept)} of {len(rows)} pairs longer than {limit} tokens", file=sys.stderr)
    return kept
