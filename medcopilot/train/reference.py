"""Reference log-probabilities of preference pairs, kept on disk beside the run.

Promises: what is read belongs to these pairs, this parent and this arithmetic (the file's name is their digest); a file appears
whole or not at all, and one that cannot be read is computed again. A resumed or repeated run does not compute them again.
Does not cover: computing them (`medcopilot.train.dpo`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from env.files import atomic_write
from medcopilot.train.policy import rows_state
from medcopilot.train.settings import DpoConfig

SIDES = ("chosen", "rejected")


class ReferenceCache:
    """One file: a sum of log-probabilities for each side of each pair, (pairs,) float32."""

    def __init__(self, path: Path, pairs: int) -> None:
        self.path, self.pairs = path, pairs

    @classmethod
    def of(cls, config: DpoConfig, rows: list[dict[str, Any]], parent: str) -> ReferenceCache:
        """The file for these pairs under the policy with the digest `parent`."""
        model = config.model
        quantize = model.lora.quantize if model.lora else None
        state = hashlib.blake2b(f"{parent}/{model.dtype}/{config.bf16}/{quantize}".encode(), digest_size=8)
        rows_state(state, rows)
        return cls(config.run / "cache" / f"reference-{state.hexdigest()}.safetensors", len(rows))

    def read(self) -> dict[str, torch.Tensor] | None:
        """Both sides, None when they are to be computed."""
        try:
            found = load(self.path.read_bytes())
        except (FileNotFoundError, SafetensorError):
            return None
        return found if all(side in found and len(found[side]) == self.pairs for side in SIDES) else None

    def write(self, sums: dict[str, torch.Tensor]) -> None:
        """Keep both sides."""
        atomic_write(self.path, save({side: sums[side].float().contiguous() for side in SIDES}))
