"""A hub on a loopback port, an empty record of permissions, and tiny checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))  # the trace factory

from hub_double import TOKEN, Hub

SHAPE = {"hidden": 32, "layers": 2, "heads": 2, "feed_forward": 48, "positions": 256}
TEXTS = [f"Dose {a} mg, then {b} mg.\nTotal? answer={a}+{b}" for a in range(10, 40) for b in range(10, 14)]


@pytest.fixture(autouse=True)
def permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where permissions would be recorded; there are none."""
    path = tmp_path / "agreements.yaml"
    monkeypatch.setenv("MEDCOPILOT_AGREEMENTS", str(path))
    return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The double, and huggingface_hub's client pointed at it; large files go by LFS, which it speaks (Xet it does not)."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    made = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)  # the client's own pauses between attempts
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield made
    made.close()


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from medcopilot.train.tokenizer import train_tokenizer

    return train_tokenizer(TEXTS, 400)


@pytest.fixture
def make_checkpoint(tmp_path: Path, tokenizer: Any) -> Callable[..., Path]:
    """`make(name, licence=..., seed=...)`: a checkpoint as a finished stage leaves it; `licence` None: without a record."""
    from medcopilot.train.model import CheckpointMeta, NanoShape, new_nano, save_checkpoint
    from medcopilot.train.provenance import Provenance, Seen, seal

    def make(name: str = "sft", licence: str | None = "synthetic", seed: int = 0, dtype: str = "float32") -> Path:
        import torch

        folder = tmp_path / "run" / "checkpoints" / name
        model = new_nano(tokenizer, NanoShape(**SHAPE), seed=seed).to(getattr(torch, dtype))
        save_checkpoint(model, tokenizer, folder, CheckpointMeta(profile="nano", policy_version=1, stage=name))
        (folder / "recipe.yaml").write_text(
            f"run: {tmp_path}/run\nname: {name}\nseed: 7\nmodel:\n  tokenizer: {tmp_path}/tokenizer\n  dtype: {dtype}\n"
            "tracking:\n  wandb:\n    project: p\n    entity: my-team\n")
        if licence is not None:
            seen = Seen(stage=name, dataset="mimic_iii", licence=licence, count=12)
            seal(Provenance(bases=("random weights, seed 7",), seen=(seen,)), folder)
        return folder

    return make
