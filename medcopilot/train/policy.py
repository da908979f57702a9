"""The policy that a stage trains: where its weights come from, and whether it fits the stage's rows.

Promises: `load_policy` gives model, tokenizer, record and digest from a checkpoint, a hub name or random nano weights, with a chat
template that keeps earlier turns (`agent.template`); rows of another vocabulary are refused; `recipe_digest` recognises a finished
stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from env.errors import UserError
from medcopilot.agent.template import settle_template
from medcopilot.data.rows import read_card, tokenizer_digest
from medcopilot.train import attention
from medcopilot.train.adapters import quantization
from medcopilot.train.config import StageConfig
from medcopilot.train.model import Checkpoint, CheckpointMeta, load_checkpoint, new_nano
from medcopilot.train.settings import ModelConfig
from medcopilot.train.tokenizer import load_tokenizer


def load_policy(config: ModelConfig, seed: int) -> Checkpoint:
    """The policy to train, with its profile settled. A random one has the digest ''."""
    if config.checkpoint is None:
        assert config.tokenizer is not None
        tokenizer = load_tokenizer(config.tokenizer)
        model = new_nano(tokenizer, config.shape, seed=seed)
        source = Checkpoint(model, tokenizer, CheckpointMeta(profile="nano"), "")
    else:
        source = load_checkpoint(config.checkpoint, dtype=config.dtype, quantization=quantization(config))
    settle_template(source.tokenizer)
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


def check_tokenizer(data: Path, tokenizer: Any) -> None:
    """Refuse rows that were exported with another vocabulary."""
    card = read_card(data)
    if card is not None and card.tokenizer != tokenizer_digest(tokenizer):
        raise UserError(f"{data}: the rows were exported with another tokenizer than the model's: export them again with "
                        "--tokenizer set to the model's folder")


def recipe_digest(config: StageConfig, rows: list[dict[str, Any]], parent: str) -> str:
    """16 hex digits over settings, data and parent: what a finished stage is recognised by."""
    state = hashlib.blake2b(f"{config.digest()}/{parent}/{len(rows)}".encode(), digest_size=8)
    rows_state(state, rows)
    return state.hexdigest()


def rows_state(state: Any, rows: list[dict[str, Any]]) -> None:
    """Feed the tokens and masks of rows to a hash."""
    for row in rows:
        for name in sorted(row):
            if name.endswith(("_ids", "labels", "_mask")):
                state.update(repr(row[name]).encode())


def check_vocabulary(data: Path, model: Any, ids: Iterable[int]) -> None:
    """Refuse token ids that the model has no embedding for."""
    if max(ids, default=0) >= model.config.vocab_size:
        raise UserError(f"{data}: a token id is outside the model's vocabulary of {model.config.vocab_size}: export again with "
                        "--tokenizer set to the model's folder")
