"""The policy that a stage trains: where its weights come from, and whether it fits the stage's rows.

Promises: `load_policy` gives model, tokenizer, record and digest from a checkpoint, a hub name or random nano weights; rows of
another vocabulary are refused; `recipe_digest` recognises a finished stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from env.errors import UserError
from medcopilot.data.rows import read_card, tokenizer_digest
from medcopilot.train import attention
from medcopilot.train.config import Config, StageConfig
from medcopilot.train.model import Checkpoint, CheckpointMeta, NanoShape, load_checkpoint, new_nano
from medcopilot.train.tokenizer import load_tokenizer


class LoraSettings(Config):
    """Low-rank adapters instead of full fine-tuning; merged into the final checkpoint."""

    rank: int = Field(32, ge=1)
    alpha: float = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: str | list[str] = "all-linear"


class ModelConfig(Config):
    """Where the weights come from: `checkpoint`, or random nano weights with `tokenizer`."""

    checkpoint: str | None = None
    """Folder of a checkpoint, or a hub name such as Qwen/Qwen2.5-7B-Instruct."""
    tokenizer: str | None = None
    """Folder of the tokenizer for random weights."""
    shape: NanoShape = NanoShape()
    profile: Literal["nano", "full"] | None = None
    """Prompt profile; None: the parent checkpoint's, and nano for random weights."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: str = "auto"
    """`auto`: `causal_bmm` on the CPU, else the library's choice."""
    gradient_checkpointing: bool = False
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ModelConfig:
        if (self.checkpoint is None) == (self.tokenizer is None):
            raise ValueError("give either model.checkpoint or, for random nano weights, model.tokenizer")
        return self


def load_policy(config: ModelConfig, seed: int) -> Checkpoint:
    """The policy to train, with its profile settled. A random one has the digest ''."""
    if config.checkpoint is None:
        assert config.tokenizer is not None
        tokenizer = load_tokenizer(config.tokenizer)
        model = new_nano(tokenizer, config.shape, seed=seed)
        source = Checkpoint(model, tokenizer, CheckpointMeta(profile="nano"), "")
    else:
        source = load_checkpoint(config.checkpoint, dtype=config.dtype)
    if config.profile:
        source = source._replace(meta=source.meta.model_copy(update={"profile": config.profile}))
    chosen = config.attention
    if chosen == "auto" and not torch.cuda.is_available() and source.model.config.model_type == "qwen2":
        chosen = attention.NAME
    if chosen != "auto":
        if chosen == attention.NAME:
            attention.register()
        source.model.set_attn_implementation(chosen)
    return source


def peft_settings(config: ModelConfig) -> Any:
    """peft's configuration for LoRA, None without."""
    if config.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(r=config.lora.rank, lora_alpha=config.lora.alpha, lora_dropout=config.lora.dropout,
                      target_modules=config.lora.targets, task_type="CAUSAL_LM")


def check_tokenizer(data: Path, tokenizer: Any) -> None:
    """Refuse rows that were exported with another vocabulary."""
    card = read_card(data)
    if card is not None and card.tokenizer != tokenizer_digest(tokenizer):
        raise UserError(f"{data}: the rows were exported with another tokenizer than the model's: export them again with "
                        "--tokenizer set to the model's folder")


def recipe_digest(config: StageConfig, rows: list[dict[str, Any]], parent: str) -> str:
    """16 hex digits over settings, data and parent: what a finished stage is recognised by."""
    state = hashlib.blake2b(f"{config.digest()}/{parent}/{len(rows)}".encode(), digest_size=8)
    for row in rows:
        for name in sorted(row):
            if name.endswith(("_ids", "labels", "_mask")):
                state.update(repr(row[name]).encode())
    return state.hexdigest()


def check_vocabulary(data: Path, model: Any, ids: Iterable[int]) -> None:
    """Refuse token ids that the model has no embedding for."""
    if max(ids, default=0) >= model.config.vocab_size:
        raise UserError(f"{data}: a token id is outside the model's vocabulary of {model.config.vocab_size}: export again with "
                        "--tokenizer set to the model's folder")
