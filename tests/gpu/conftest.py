"""Tests that need a CUDA GPU. They skip with the reason where there is none, and name what else is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

UNIT = Path(__file__).resolve().parents[1] / "unit"
for helpers in ("train", "rl"):  # `packed_rows`, `tiny`
    if str(UNIT / helpers) not in sys.path:
        sys.path.append(str(UNIT / helpers))


@pytest.fixture
def device() -> torch.device:
    """The first GPU, with nothing of earlier tests in its peak."""
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA GPU (a CPU build, or no driver)")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.device("cuda", 0)


@pytest.fixture
def two_devices() -> tuple[torch.device, torch.device]:
    if torch.cuda.device_count() < 2:
        pytest.skip(f"needs two GPUs, and torch sees {torch.cuda.device_count()}")
    return torch.device("cuda", 0), torch.device("cuda", 1)
