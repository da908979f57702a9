"""Runs one case and says how fast it was and how much memory it took.

Promises: medians of repeated steps after warm-up; device work is waited for before a clock is read; peak memory is that of the
measured steps, optimiser states included; running out of memory and what is not installed are rows with the reason, and what a
case held is freed before the next one. A loss that is not finite fails the case.
Does not cover: memory of CPU runs (`peak_bytes` is null), the memory that CUDA itself and other processes take.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import os
import platform
import statistics
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from medcopilot.bench.train.cases import Case, Scale
from medcopilot.bench.train.models import Missing, make_optimizer
from medcopilot.bench.train.steps import Step, prepare
from medcopilot.train.flops import peak_flops

CLIP = 1.0
_PACKAGES = ("torch", "transformers", "peft", "flash-attn", "bitsandbytes", "triton")


def measure(case: Case, scale: Scale, device: torch.device, *, steps: int, warm: int) -> dict[str, Any]:
    """A row of the results: `status` is `ok`, `oom`, `missing` or `failed`, with the `reason` where there are no figures."""
    row = {"case": case.name, "stage": case.stage, "size": case.size, "option": case.option, **machine(device),
           "options": dataclasses.asdict(case.options), "steps": steps, "scale": scale._asdict()}
    found: dict[str, Any]
    try:
        found = {"status": "ok", **_figures(case, scale, device, steps, warm)}
    except Missing as error:
        found = {"status": "missing", "reason": str(error)}
    except Exception as error:  # one case must not cost a machine's other rows; the row says what happened
        if _out_of_memory(error):
            found = {"status": "oom", "reason": str(error).splitlines()[0][:300], "peak_bytes": _peak(device)}
        else:
            reason = f"{type(error).__name__}: {error}"
            found = {"status": "failed", "reason": reason[:300], "trace": traceback.format_exc()[-2000:]}
    _free(device)
    return row | found


def _out_of_memory(error: Exception) -> bool:
    """Libraries that allocate past torch say it in their own words."""
    words = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(part in str(error) for part in words)


def _figures(case: Case, scale: Scale, device: torch.device, steps: int, warm: int) -> dict[str, Any]:
    _reset(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        step = prepare(case, scale, device)
    optimizer = make_optimizer(step.module, case.options.optimizer)
    for _ in range(warm):
        _update(step, optimizer, device)
    _free(device)
    _reset(device)
    taken = [_update(step, optimizer, device) for _ in range(steps)]
    seconds = statistics.median(update for _, update, _ in taken)
    peak = peak_flops(device)
    losses = [loss for *_, loss in taken]
    if not all(map(math.isfinite, losses)):
        raise ArithmeticError(f"the loss is not finite: {losses}")
    parameters = list(step.module.parameters())
    return {
        "seconds": seconds, "seconds_all": [update for _, update, _ in taken], "tokens_per_second": step.tokens / seconds,
        "evaluate_seconds": statistics.median(before for before, _, _ in taken) if step.evaluate else None,
        "mfu": step.flops / seconds / peak if peak else None, "hfu": step.recomputed / seconds / peak if peak else None,
        "peak_flops": peak, "peak_bytes": _peak(device), "loss": losses[-1], "tokens": step.tokens, "trained_tokens": step.trained,
        "padding": 1 - step.tokens / step.padded, "micro_batches": len(step.batches), "flops": step.flops,
        "parameters": sum(p.numel() for p in parameters), "trainable": sum(p.numel() for p in parameters if p.requires_grad)}


def _update(step: Step, optimizer: torch.optim.Optimizer, device: torch.device) -> tuple[float, float, float]:
    """Seconds before the update and in it, and the loss."""
    autocast = torch.autocast(device.type, dtype=torch.bfloat16)
    started = _clock(device)
    if step.evaluate is not None:
        with autocast:
            step.evaluate()
    middle = _clock(device)
    total = torch.zeros((), device=device)
    for batch in step.batches:
        with autocast:
            loss = step.loss(batch)
        loss.backward()
        total += loss.detach()
    torch.nn.utils.clip_grad_norm_([p for p in step.module.parameters() if p.grad is not None], CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return middle - started, _clock(device) - middle, total.item()


def _clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def machine(device: torch.device) -> dict[str, Any]:
    """Device, its memory in bytes, and versions of what computes."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else _processor(),
        "device_bytes": torch.cuda.get_device_properties(device).total_memory if cuda else None,
        "threads": None if cuda else torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "cuda": torch.version.cuda if cuda else None,
                     **{name: _version(name) for name in _PACKAGES}}}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"CPU, {os.cpu_count()} x {names[0] if names else platform.machine()}"


