"""Policies on disk: the nano policy from scratch, and checkpoints of any causal language model.

Promises: a checkpoint folder appears whole or not at all and holds weights, tokenizer and `medcopilot.json` (profile, policy
version, digest of its parent, digest of the recipe); its digest depends on weights and tokenizer only. A folder without
tokenizer or weights is refused with one sentence.
Does not cover: resumable optimiser state (`medcopilot.train.loop`), adapters on an endpoint (`medcopilot.rollout`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from env.errors import UserError
from env.files import file_digest
from medcopilot.train.config import Config
from medcopilot.train.folders import write_folder
from medcopilot.train.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

META = "medcopilot.json"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


class NanoShape(Config):
    """Shape of the nano policy (Qwen2 architecture, tied embeddings); 1.97M parameters at 1,024 vocabulary entries."""

    hidden: int = Field(192, ge=8)
    layers: int = Field(4, ge=1)
    heads: int = Field(3, ge=1)
    feed_forward: int = Field(512, ge=8)
    positions: int = Field(2048, ge=16)


class CheckpointMeta(Config):
    """`medcopilot.json` of a checkpoint."""

    profile: Literal["nano", "full"] = "full"
    """Prompt wording and limits that the policy was trained with."""
    policy_version: int = Field(0, ge=0)
    """Grows by one with every stage."""
    stage: str = ""
    parent: str = ""
    """Digest of the checkpoint that it was trained from; empty for random initialisation."""
    recipe: str = ""
    """Digest of the recipe's resolved configuration."""
    details: dict[str, Any] = Field(default_factory=dict)


class Checkpoint(NamedTuple):
    """A loaded policy."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    meta: CheckpointMeta
    digest: str


def new_nano(tokenizer: PreTrainedTokenizerBase, shape: NanoShape | None = None, *, seed: int = 0) -> PreTrainedModel:
    """A nano policy with random weights, float32.

    Raises:
        UserError: `hidden` is not a multiple of two times `heads`.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = shape or NanoShape()
    if shape.hidden % (2 * shape.heads):
        raise UserError(f"shape.hidden = {shape.hidden} must be a multiple of 2 x shape.heads = {2 * shape.heads}")
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=shape.hidden, num_hidden_layers=shape.layers, num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads, intermediate_size=shape.feed_forward, max_position_embeddings=shape.positions,
        tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen2ForCausalLM(config)


def save_checkpoint(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, meta: CheckpointMeta) -> Path:
    """Write a checkpoint folder (an old one of that name is replaced). Returns the folder."""

    def fill(partial: Path) -> None:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        (partial / META).write_text(meta.model_dump_json(indent=2) + "\n", encoding="utf-8")

    write_folder(Path(folder), fill)
    return Path(folder)


def checkpoint_digest(folder: Path) -> str:
    """16 hex digits over the weights and the tokenizer."""
    parts = sorted(path for path in Path(folder).iterdir()
                   if path.suffix in (".safetensors", ".bin") or path.name == "tokenizer.json")
    body = "\n".join(f"{path.name} {file_digest(path)}" for path in parts)
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()


def read_meta(folder: Path) -> CheckpointMeta:
    """`medcopilot.json`; defaults where a foreign checkpoint has none."""
    path = Path(folder) / META
    if not path.is_file():
        return CheckpointMeta()
    try:
        return CheckpointMeta.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path}: not a valid checkpoint record ({error.error_count()} fields are wrong): delete the file or copy "
                        "the checkpoint again") from None


def load_checkpoint(source: str | Path, *, dtype: str = "float32", attention: str | None = None,
                    quantization: Any = None) -> Checkpoint:
    """A policy from a checkpoint folder or, for the full profile, from a hub name such as `Qwen/Qwen2.5-7B-Instruct`.

    Args:
        dtype: `float32`, `bfloat16` or `auto` (as stored).
        attention: transformers' attention implementation; None: the library's choice.
        quantization: transformers' configuration of quantised weights; None: as stored.

    Raises:
        UserError: no such folder, no weights, no tokenizer, or files that cannot be read.
    """
    from transformers import AutoModelForCausalLM

    folder = Path(source)
    complete = (folder / "config.json").is_file() and any((folder / name).is_file() for name in _WEIGHTS)
    if folder.is_dir() and not complete:
        raise UserError(f"{folder}: there are no weights in this folder (config.json and model.safetensors): give the folder of a "
                        "finished stage, e.g. runs/demo/checkpoints/sft")
    tokenizer = load_tokenizer(source)
    try:
        model = AutoModelForCausalLM.from_pretrained(str(source), dtype=dtype, attn_implementation=attention,
                                                     quantization_config=quantization)
    except Exception as error:  # torn safetensors files raise library-specific errors without a common base
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{source}: the weights cannot be loaded ({reason}): copy the checkpoint again") from None
    if folder.is_dir():
        return Checkpoint(model, tokenizer, read_meta(folder), checkpoint_digest(folder))
    return Checkpoint(model, tokenizer, CheckpointMeta(), str(source))


def meta_json(folder: Path) -> dict[str, Any]:
    """The record and the digest as plain data, for run records."""
    return {**json.loads(read_meta(folder).model_dump_json()), "digest": checkpoint_digest(folder)}
