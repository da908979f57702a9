"""Shapes of decoders, and their parameters counted one by one.

Promises: `Architecture.parameters()` equals `sum(p.numel())` of the model that transformers builds from the same config (a test
builds each on the meta device); nothing is downloaded: shapes come from a local folder's `config.json` or from the table here.
Does not cover: mixtures of experts, sliding windows, biases in the feed-forward layers: refused with a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from env.errors import UserError

Family = Literal["qwen2", "qwen3", "llama"]


class Matrix(NamedTuple):
    """A linear layer."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False

    @property
    def size(self) -> int:
        return self.inputs * self.outputs + (self.outputs if self.bias else 0)


class Architecture(NamedTuple):
    """A decoder of one of the three families: they differ in biases and in norms on queries and keys."""

    family: Family
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    tied: bool
    context: int
    bias: bool
    """Of query, key and value."""

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Width of all key heads together; values have as much."""
        return self.key_heads * self.head_size

    @property
    def query_norms(self) -> bool:
        return self.family == "qwen3"

    def matrices(self) -> tuple[Matrix, ...]:
        """The linear layers of one decoder layer, by their names in transformers."""
        return (Matrix("q_proj", self.hidden, self.queries, self.bias), Matrix("k_proj", self.hidden, self.keys, self.bias),
                Matrix("v_proj", self.hidden, self.keys, self.bias), Matrix("o_proj", self.queries, self.hidden),
                Matrix("gate_proj", self.hidden, self.feed_forward), Matrix("up_proj", self.hidden, self.feed_forward),
                Matrix("down_proj", self.feed_forward, self.hidden))

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def layer(self) -> int:
        """Parameters of one decoder layer."""
        norms = 2 * self.hidden + (2 * self.head_size if self.query_norms else 0)
        return sum(matrix.size for matrix in self.matrices()) + norms

    @property
    def linear(self) -> int:
        """Weights of all layers' matrices, without biases and without the head."""
        return self.layers * sum(matrix.inputs * matrix.outputs for matrix in self.matrices())

    def parameters(self, head: bool = True) -> int:
        """All of them. `head`: with the output head, which a critic lacks; a tied one is the embedding and counts once."""
        return self.embedding + self.layers * self.layer + self.hidden + (self.embedding if head and not self.tied else 0)

    def adapted(self, targets: str | Sequence[str]) -> tuple[Matrix, ...]:
        """The matrices of one layer that LoRA's `targets` name.

        Raises:
            UserError: none, or one that is no layer's.
        """
        names = [matrix.name for matrix in self.matrices()]
        if targets == "all-linear":
            return self.matrices()
        wanted = [targets] if isinstance(targets, str) else list(targets)
        unknown = [name for name in wanted if name not in names]
        if unknown or not wanted:
            raise UserError(f"model.lora.targets names {unknown[0] if unknown else 'nothing'}: the planner knows all-linear and "
                            f"{', '.join(names)}")
        return tuple(matrix for matrix in self.matrices() if matrix.name in wanted)

    def adapter(self, rank: int, targets: str | Sequence[str]) -> int:
        """Parameters of a LoRA adapter: A (rank x inputs) and B (outputs x rank) for every adapted matrix."""
        return self.layers * sum(rank * (matrix.inputs + matrix.outputs) for matrix in self.adapted(targets))


def _qwen2(hidden: int, layers: int, heads: int, key_heads: int, feed_forward: int, vocabulary: int, tied: bool) -> Architecture:
    return Architecture("qwen2", hidden, layers, heads, key_heads, hidden // heads, feed_forward, vocabulary, tied, 32_768, True)


def _qwen3(hidden: int, layers: int, heads: int, feed_forward: int, tied: bool) -> Architecture:
    return Architecture("qwen3", hidden, layers, heads, 8, 128, feed_forward, 151_936, tied, 40_960, False)


def _llama(hidden: int, layers: int, heads: int, head_size: int, feed_forward: int, tied: bool) -> Architecture:
    return Architecture("llama", hidden, layers, heads, 8, head_size, feed_forward, 128_256, tied, 131_072, False)


KNOWN = {
    "Qwen2.5-0.5B": _qwen2(896, 24, 14, 2, 4864, 151_936, True),
    "Qwen2.5-1.5B": _qwen2(1536, 28, 12, 2, 8960, 151_936, True),
    "Qwen2.5-3B": _qwen2(2048, 36, 16, 2, 11_008, 151_936, True),
    "Qwen2.5-7B": _qwen2(3584, 28, 28, 4, 18_944, 152_064, False),
    "Qwen2.5-14B": _qwen2(5120, 48, 40, 8, 13_824, 152_064, False),
    "Qwen2.5-32B": _qwen2(5120, 64, 40, 8, 27_648, 152_064, False),
    "Qwen3-0.6B": _qwen3(1024, 28, 16, 3072, True),
    "Qwen3-1.7B": _qwen3(2048, 28, 16, 6144, True),
    "Qwen3-4B": _qwen3(2560, 36, 32, 9728, True),
    "Qwen3-8B": _qwen3(4096, 36, 32, 12_288, False),
    "Qwen3-14B": _qwen3(5120, 40, 40, 17_408, False),
    "Llama-3.2-1B": _llama(2048, 16, 32, 64, 8192, True),
    "Llama-3.2-3B": _llama(3072, 28, 24, 128, 8192, True),
    "Llama-3.1-8B": _llama(4096, 32, 32, 128, 14_336, False),
}
"""`config.json` of the checkpoint of that name (or `-Instruct`, `-Coder-...`) on the hub. A name is recognised wherever a
checkpoint's name holds it."""


def known_name(name: str) -> str | None:
    """The key of `KNOWN` that a checkpoint's name holds, None for others."""
    text = name.replace("-Coder", "").lower()
    return max((key for key in KNOWN if key.lower() in text), key=len, default=None)


def known(name: str) -> Architecture | None:
    """The architecture of that key."""
    key = known_name(name)
    return KNOWN[key] if key else None


def read_folder(folder: Path) -> Architecture:
    """Of a local checkpoint.

    Raises:
        UserError: not a readable `config.json`, or an architecture that is not counted here.
    """
    path = folder / "config.json"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): give the folder of a checkpoint") from None
    except ValueError:
        raise UserError(f"{path}: not JSON: copy the checkpoint again") from None
    return from_config(body, str(path))


def from_config(body: dict[str, Any], name: str = "config.json") -> Architecture:
    """From the fields of a transformers configuration.

    Raises:
        UserError: another family, experts, a window, or a missing field.
    """
    family = body.get("model_type")
    if family not in ("qwen2", "qwen3", "llama"):
        raise UserError(f"{name}: model_type {family!r} is not planned: the planner counts qwen2, qwen3 and llama")
    if body.get("use_sliding_window") or body.get("mlp_bias"):
        raise UserError(f"{name}: sliding windows and biases in the feed-forward layers are not planned")
    try:
        heads, hidden = body["num_attention_heads"], body["hidden_size"]
        if family != "qwen2" and body.get("attention_bias"):
            raise UserError(f"{name}: attention_bias is not planned for {family}")
        return Architecture(
            family, hidden, body["num_hidden_layers"], heads, body.get("num_key_value_heads") or heads,
            body.get("head_dim") or hidden // heads, body["intermediate_size"], body["vocab_size"],
            bool(body.get("tie_word_embeddings", False)), body["max_position_embeddings"], family == "qwen2")
    except KeyError as error:
        raise UserError(f"{name}: the field {error.args[0]!r} is missing: copy the checkpoint again") from None
