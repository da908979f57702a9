"""Supervised fine-tuning on exact token ids, on TRL's SFTTrainer.

Promises: rows go in as they were sampled (`input_ids`, `labels` with -100 where the mask is 0), never re-encoded and never cut;
rows that are too long are left out and counted; batches are filled by token budget, padded (`batches`) or packed (`packing`); the
loss is normalised by trained tokens over all ranks, and the logits of all tokens are never held at once. From random weights (the
nano policy) or from any checkpoint, fully or with LoRA.
Does not cover: making the rows (`medcopilot.data`), evaluation.
"""

from __future__ import annotations

import sys
from typing import Any

from datasets import Dataset
from torch.utils.data import DataLoader
from trl import SFTConfig as TrlConfig
from trl import SFTTrainer

from env.errors import UserError
from medcopilot.data.rows import read_rows
from medcopilot.train import loop
from medcopilot.train.adapters import peft_settings
from medcopilot.train.batches import IGNORE, PadRight, SftRows, TokenBatches
from medcopilot.train.chunked_loss import compact_loss, use_chunked_head
from medcopilot.train.launch import read_launch
from medcopilot.train.model import Checkpoint
from medcopilot.train.packing import PackedBatches, PackRows, prepare_attention
from medcopilot.train.policy import check_tokenizer, check_vocabulary, load_policy, recipe_digest
from medcopilot.train.settings import ModelConfig, SftConfig
from medcopilot.train.stage import train_on_rows

__all__ = ["ExactSftTrainer", "ModelConfig", "SftConfig", "check_tokenizer", "compact_loss", "load_policy", "peft_settings",
           "recipe_digest", "run_sft"]


class ExactSftTrainer(loop.StageTrainer, SFTTrainer):
    """TRL's trainer with token-budget batches; on a single CPU also without the entropy that TRL logs."""

    batches: TokenBatches
    rows: SftRows
    progress: loop.Progress
    compact: bool = False

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.rows, batch_sampler=self.batches, collate_fn=self.data_collator)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        self.progress.tokens += inputs["input_ids"].numel() * self.accelerator.num_processes
        if not self.compact or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self.accelerator.autocast():  # accelerate wraps the whole model's forward only
            rest = {name: value for name, value in inputs.items() if name not in ("input_ids", "labels", "attention_mask")}
            loss, accuracy = compact_loss(model, inputs["input_ids"], inputs["labels"], num_items_in_batch, **rest)
        self._metrics["train"]["mean_token_accuracy"].append(accuracy)
        return loss


def run_sft(config: SftConfig, rows: list[dict[str, Any]] | None = None) -> loop.StageResult:
    """Train, or resume, or find that it was done. Returns where the checkpoint is and how fast it went.

    `rows`: those of `config.data` to train on; None: all.

    Raises:
        UserError: rows, tokenizer, checkpoint or settings that do not fit together.
    """
    loop.prepare_torch(config)
    arguments = _arguments(config)  # first: under ZeRO-3 it decides how weights are loaded
    rows = read_rows(config.data, ("input_ids", "labels")) if rows is None else rows
    return train_on_rows(config, rows, arguments, unit="rows", fitting=_fitting, build=_build)


def _fitting(config: SftConfig, rows: list[dict[str, Any]], source: Checkpoint) -> list[dict[str, Any]]:
    limit = min(config.max_length or sys.maxsize, int(source.model.config.max_position_embeddings))
    kept = [row for row in rows if len(row["input_ids"]) <= limit and any(label != IGNORE for label in row["labels"][1:])]
    check_vocabulary(config.data, source.model, (token for row in kept for token in row["input_ids"]))
    if not kept:
        raise UserError(f"{config.data}: no row has trained tokens within max_length = {limit}: raise max_length or export again")
    if len(kept) < len(rows):
        print(f"{config.name}: left out {len(rows) - len(kept)} of {len(rows)} rows longer than {limit} tokens", file=sys.stderr)
    return kept


def _arguments(config: SftConfig) -> TrlConfig:
    shared = loop.trainer_arguments(config, config.optimizer, accumulation=config.accumulation)
    return TrlConfig(**shared, gradient_checkpointing=config.model.gradient_checkpointing, max_length=None,
                     dataset_kwargs={"skip_prepare_dataset": True}, packing=False, per_device_train_batch_size=1)


def _build(config: SftConfig, arguments: TrlConfig, source: Checkpoint, rows: list[dict[str, Any]]
           ) -> tuple[ExactSftTrainer, loop.Horizon, loop.Progress]:
    world, rank = arguments.world_size, arguments.process_index
    lengths = [len(row["input_ids"]) for row in rows]
    cpu = arguments.device.type == "cpu"
    compact = cpu and read_launch().plain and config.model.lora is None  # it calls parts of the model, past any wrapper
    collator = _collator(config, source, compact, arguments.device.type)

    def batches(total: int | None) -> TokenBatches:
        kind = PackedBatches if config.packing else TokenBatches
        return kind(lengths, config.batch_tokens, total=total, epochs=config.epochs, seed=config.seed, rank=rank, world=world,
                    multiple=16 if cpu and not config.packing else 1, most_rows=config.batch_rows)

    micro = [] if config.epochs is None else [-(-len(batches(None)) // config.accumulation)]
    steps = min([*micro, *([config.max_steps] if config.max_steps else [])], default=None)
    horizon = loop.Horizon(steps, config.max_seconds)
    progress = loop.Progress(config, horizon)
    arguments.max_steps = steps or 1_000_000_000
    unused = Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]})  # the trainer insists on one; ours is `rows`
    trainer = ExactSftTrainer(model=source.model, args=arguments, data_collator=collator, train_dataset=unused,
                              processing_class=source.tokenizer, peft_config=peft_settings(config.model))
    use_chunked_head(source.model)
    trainer.rows = SftRows(rows)
    trainer.batches = batches(arguments.max_steps * config.accumulation)
    trainer.horizon, trainer.stage_optimizer, trainer.progress = horizon, config.optimizer, progress
    trainer.compact = compact
    return trainer, horizon, progress


def _collator(config: SftConfig, source: Checkpoint, compact: bool, device: str) -> PadRight | PackRows:
    """Few shapes on the CPU, for its matrix library; with `compact` padded batches always have the same size too."""
    if config.packing:
        style = prepare_attention(source.model, config.model.attention, device)
        return PackRows(source.tokenizer.pad_token_id, style, multiple=256 if device == "cpu" else 1)
    return PadRight(source.tokenizer.pad_token_id, multiple=16 if device == "cpu" else 1,
                    budget=config.batch_tokens if compact and not config.batch_rows else None)
