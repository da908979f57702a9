"""Measured figures in place of assumed ones: rows of `medcopilot bench train --json`.

Promises: only rows of the planned GPU count; utilisation (HFU) is that of each stage's base row; the memory factor is how the
measured peaks of SFT compare with what the planner says of the same step, weights and optimiser left out; rows of toy width are
refused.
Does not cover: several GPUs, generation.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from env.errors import UserError
from medcopilot.bench.train.cases import SIZES
from medcopilot.bench.train.results import load
from medcopilot.plan import memory
from medcopilot.plan.activations import Batch, Numbers
from medcopilot.plan.architecture import Architecture
from medcopilot.plan.assumptions import gpu
from medcopilot.plan.workload import chunk_rows

LORA_RANK = 32
"""Of the benchmark's adapters (`bench.train.models.LORA`)."""


class Calibration(NamedTuple):
    """What was measured on one kind of GPU."""

    utilisation: dict[str, float]
    """HFU by stage."""
    memory: float
    """Measured over planned bytes of activations and working memory; 1 where nothing was measured."""
    rows: int


def read_calibration(path: Path, gpu_name: str) -> Calibration:
    """From a file of results.

    Raises:
        UserError: no such file, something else, or no row of this GPU at real width.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: write one with `medcopilot bench train --json {path}` on the GPU")
    word = gpu(gpu_name).name.split()[0]
    rows = [row for row in load(path) if row["status"] == "ok" and word in row["device"].replace("-", " ").split()
            and not row["scale"]["toy"]]
    if not rows:
        raise UserError(f"{path}: no measured row of a {word} at real width: run `medcopilot bench train --json {path}` on one")
    bases = {row["stage"]: row["hfu"] for row in rows if row["option"] == "base" and row["hfu"]}
    if "sft" in bases:
        bases["verifier"] = bases["sft"]
    ratios = [found for row in rows if (found := _ratio(row)) is not None]
    return Calibration(bases, fmean(ratios) if ratios else 1.0, len(rows))


def _ratio(row: dict[str, Any]) -> float | None:
    """Measured over planned, of an SFT row with the chunked head; None for others."""
    options = row["options"]
    if row["stage"] != "sft" or not options["chunked"] or not row["peak_bytes"] or options["optimizer"] == "8bit":
        return None
    size = SIZES[row["size"]]
    arch = Architecture("qwen2", size.hidden, size.layers, size.heads, size.key_heads, size.hidden // size.heads, size.feed_forward,
                        size.vocabulary, size.tied, 32_768, True)
    numbers = Numbers(2, True, "lora" if options["lora"] else "full", rank=LORA_RANK, checkpointing=options["checkpointing"],
                      attention="packed" if options["attention"] == "packed" else "fused")
    tokens = row["scale"]["line"]
    batch = Batch(1, tokens, round(tokens * row["trained_tokens"] / row["tokens"]))
    planned = memory.parts([memory.Role("policy", arch, numbers, batch=batch, chunk=chunk_rows(arch.vocabulary, True))], "none", 1)
    still = planned.weights + planned.gradients + planned.optimizer
    return float(max(0.0, row["peak_bytes"] - still) / (planned.activations + planned.working))
