"""Direct preference optimisation on exact token ids, on TRL's DPOTrainer, with observation tokens masked.

Promises: after the shared opening only tokens that the policy sampled count, on both sides, in the policy's and in the
reference's sums and in the added likelihood term; reference log-probabilities are computed once, before training; pairs that
are too long are left out and counted, never cut.
Does not cover: making the pairs (`medcopilot.data.pairs`). Sums of log-ratios favour short answers where lengths differ much:
`loss: sigmoid_norm` or `ipo` divide by the length.
Source: Rafailov et al. 2023 (arXiv 2305.18290); likelihood term as in RPO, Pang et al. 2024 (arXiv 2404.19733).
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars, load_from_disk
from trl import DPOConfig as TrlConfig
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from env.errors import UserError
from medcopilot.data.rows import read_rows
from medcopilot.train import loop
from medcopilot.train.model import Checkpoint
from medcopilot.train.parallel import on_first
from medcopilot.train.policy import check_vocabulary, peft_settings
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
    """TRL's trainer on rows that are token ids already."""

    progress: loop.Progress | None = None

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            self._signature_columns = [*COLUMNS, "ref_chosen_logps", "ref_rejected_logps"]

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
    data = _on_disk(config, rows)
    per_step = config.batch_pairs * config.accumulation * arguments.world_size
    steps = max(1, round(config.epochs * -(-len(rows) // per_step)))
    steps = min(steps, config.max_steps or steps)
    arguments.max_steps = steps
    horizon = loop.Horizon(steps, config.max_seconds)
    progress = loop.Progress(config, horizon)
    trainer = MaskedDpoTrainer(model=source.model, args=arguments, train_dataset=data, processing_class=source.tokenizer,
                               data_collator=MaskedPairs(pad_token_id=source.tokenizer.pad_token_id),
                               peft_config=peft_settings(config.model))
    trainer.horizon, trainer.stage_optimizer, trainer.progress = horizon, config.optimizer, progress
    return trainer, horizon, progress


def _on_disk(config: DpoConfig, rows: list[dict[str, Any]]) -> Dataset:
    """The pairs as a dataset that all ranks read from one place: TRL keeps reference log-probabilities beside it, for all ranks and
    for a resumed run."""
    folder = config.work / "pairs"

    def write() -> None:
        if not (folder / "state.json").is_file():  # written last
            Dataset.from_list([{name: row[name] for name in COLUMNS} for row in rows]).save_to_disk(folder)

    on_first(write)
    return load_from_disk(str(folder))


def _quiet() -> None:
    disable_progress_bars()
    os.environ.setdefault("TQDM_DISABLE", "1")


def _arguments(config: DpoConfig) -> TrlConfig:
    main = "aot_unpaired" if config.label_smoothing else config.loss
    # With one pair per batch the sorting in TRL's `aot_unpaired` does nothing, and it is the sigmoid loss with label smoothing;
    # TRL's own `sigmoid` ignores the smoothing.
    losses = {"loss_type": [main, "sft"], "loss_weights": [1.0, config.nll]} if config.nll else {"loss_type": [main]}
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.accumulation)
    return TrlConfig(**shared, **losses, beta=config.beta, label_smoothing=config.label_smoothing, max_length=None,
                     precompute_ref_log_probs=True, precompute_ref_batch_size=config.batch_pairs,
                     per_device_train_batch_size=config.batch_pairs, gradient_checkpointing=config.model.gradient_checkpointing)


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
