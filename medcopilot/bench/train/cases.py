"""What is measured: stages, sizes and options.

Promises: each case is one step of one stage at one size with one option changed from that stage's base; the base is what our
recipes of that size use, but on a single device. A case's name (`stage/size/option`) identifies its row in the results.
Does not cover: how a case is run (`steps`, `measure`). Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from env.errors import UserError

STAGES = ("sft", "dpo", "grpo", "ppo")


class Size(NamedTuple):
    """A Qwen2 architecture."""

    hidden: int
    layers: int
    heads: int
    key_heads: int
    feed_forward: int
    vocabulary: int
    tied: bool


SIZES = {
    "0.5b": Size(896, 24, 14, 2, 4864, 151_936, True),
    "1.5b": Size(1536, 28, 12, 2, 8960, 151_936, True),
    "3b": Size(2048, 36, 16, 2, 11_008, 151_936, True),
    "7b": Size(3584, 28, 28, 4, 18_944, 152_064, False),
    "14b": Size(5120, 48, 40, 8, 13_824, 152_064, False),
}
"""`config.json` of Qwen2.5-*-Instruct on the hub."""


def toy(size: Size) -> Size:
    """The same at toy width: as many query heads per key head, two layers, heads of 16."""
    group = size.heads // size.key_heads
    return Size(16 * group, 2, group, 1, 48 * group, 512, size.tied)


class Scale(NamedTuple):
    """How much one step holds."""

    length: int
    """The lengths of the demo's trajectories are multiplied by this."""
    line: int
    """Tokens of a packed line, of a padded SFT batch, and of a row at most."""
    lines: int
    """Packed lines per SFT step."""
    pairs: int
    """Per DPO step; one per micro-batch."""
    rollouts: int
    """Per GRPO and PPO step."""
    micro_batches: int
    """That they are split into."""
    toy: bool = False
    """The model at toy width (`toy`)."""


FULL = Scale(length=16, line=8192, lines=2, pairs=4, rollouts=16, micro_batches=4)
TINY = Scale(length=1, line=512, lines=2, pairs=2, rollouts=8, micro_batches=2, toy=True)


@dataclass(frozen=True)
class Options:
    """What a case can change."""

    checkpointing: bool = True
    """Gradient checkpointing."""
    chunked: bool = True
    """The output head in chunks, for tokens with loss only; else all tokens x vocabulary in float32 at once, as libraries do."""
    packing: bool = False
    """SFT: rows end to end; else padded batches of the same rows."""
    lora: bool = False
    """Adapters of rank 32 on every linear layer; else all weights."""
    attention: str = "sdpa"
    """Transformers' name of the implementation; `packed` is ours for packed lines."""
    optimizer: str = "foreach"
    """AdamW: torch's `foreach`, `fused` or `for-loop`, or `8bit` (bitsandbytes)."""
    reference: bool = False
    """A starting policy to compare with, in every step: a second model, or under LoRA the model without its adapters. DPO without
    it reads sums that were computed once, before training."""


BASE = {"sft": Options(packing=True, attention="packed"), "dpo": Options(), "grpo": Options(), "ppo": Options(reference=True)}
"""By stage. PPO from 7 billion parameters on trains adapters: see `base`."""

_CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "checkpointing=off": {"checkpointing": False},
    "chunked=off": {"chunked": False},
    "packing=off": {"packing": False, "attention": "sdpa"},
    "lora=on": {"lora": True},
    "lora=off": {"lora": False},
    "reference=on": {"reference": True},
    "reference=off": {"reference": False},
    "attention=sdpa": {"attention": "sdpa"},
    "attention=flash": {"attention": "flash_attention_2"},
    "optimizer=fused": {"optimizer": "fused"},
    "optimizer=for-loop": {"optimizer": "for-loop"},
    "optimizer=8bit": {"optimizer": "8bit"},
}
OPTIONS = tuple(_CHANGES)
_NEVER = {("ppo", "chunked=off"), *((stage, "packing=off") for stage in ("dpo", "grpo", "ppo")), ("sft", "reference=on")}
"""`ActorCritic` has no other head; only SFT packs; only SFT has no reference."""


class Case(NamedTuple):
    """One row of the results."""

    stage: str
    size: str
    option: str
    options: Options

    @property
    def name(self) -> str:
        return f"{self.stage}/{self.size}/{self.option}"


def base(stage: str, size: str) -> Options:
    """The options that a stage starts from at a size. Two models of 7 billion parameters with their optimiser do not fit a GPU."""
    return dataclasses.replace(BASE[stage], lora=stage == "ppo" and SIZES[size].hidden >= SIZES["7b"].hidden)


def cases_of(stage: str, size: str) -> list[Case]:
    """The base and everything that changes it."""
    start = base(stage, size)
    cases = []
    for option in OPTIONS:
        changed = dataclasses.replace(start, **_CHANGES[option])
        if (stage, option) not in _NEVER and (option == "base" or changed != start):
            cases.append(Case(stage, size, option, changed))
    return cases


def plan(stages: Sequence[str] = STAGES, sizes: Sequence[str] = (), options: Iterable[str] = ()) -> list[Case]:
    """The cases to run, bases first.

    Args:
        sizes: of every stage; none given: 7b, and for PPO 3b too, where all weights are trained.
        options: names among `OPTIONS`; none given: all.

    Raises:
        UserError: a name that is none, or options that none of these stages has.
    """
    for what, given, known in (("stage", stages, STAGES), ("size", sizes, tuple(SIZES)), ("option", options, OPTIONS)):
        for name in given:
            if name not in known:
                raise UserError(f"{what} {name!r} is none: choose among {', '.join(known)}")
    chosen = set(options)
    cases = [case for stage in stages for size in (sizes or (("7b", "3b") if stage == "ppo" else ("7b",)))
             for case in cases_of(stage, size) if not chosen or case.option in chosen]
    if not cases:
        raise UserError(f"no such case: {', '.join(stages)} cannot change {', '.join(sorted(chosen))}")
    return sorted(cases, key=lambda case: case.option != "base")
