"""Checkpoints: shape, seeds, whole folders, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from env.errors import UserError
from medcopilot.train.folders import write_folder
from medcopilot.train.model import (
    META,
    CheckpointMeta,
    NanoShape,
    checkpoint_digest,
    load_checkpoint,
    new_nano,
    read_meta,
    save_checkpoint,
)


class Vocabulary:
    """As much of a tokenizer as a new model asks for."""

    eos_token_id, pad_token_id = 2, 0

    def __len__(self) -> int:
        return 1024


def test_nano_policy_has_the_published_size() -> None:
    model = new_nano(Vocabulary(), seed=0)  # type: ignore[arg-type]
    assert sum(p.numel() for p in model.parameters()) == 1_970_112
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_weights_follow_the_seed_and_leave_the_generator_alone(tokenizer: Any, tiny_shape: dict[str, int]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (new_nano(tokenizer, NanoShape(**tiny_shape), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.model.embed_tokens.weight, other.model.embed_tokens.weight)


def test_odd_shapes_are_refused(tokenizer: Any) -> None:
    with pytest.raises(UserError, match="multiple"):
        new_nano(tokenizer, NanoShape(hidden=30, heads=4))


def test_a_checkpoint_comes_back(tmp_path: Path, tokenizer: Any, tiny_shape: dict[str, int]) -> None:
    model = new_nano(tokenizer, NanoShape(**tiny_shape))
    meta = CheckpointMeta(profile="nano", policy_version=3, stage="sft", parent="p", recipe="r", details={"steps": 4})
    folder = save_checkpoint(model, tokenizer, tmp_path / "checkpoints" / "c", meta)
    loaded = load_checkpoint(folder)
    assert loaded.meta == meta
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    text = 'Dose 12 mg, then 34 mg.\\n{"action":"submit"}  \n'
    assert loaded.tokenizer.encode(text) == tokenizer.encode(text)  # not only the vocabulary: the word splitting too
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.model.parameters(), strict=True))
    assert loaded.digest == checkpoint_digest(folder)
    other = save_checkpoint(model, tokenizer, tmp_path / "other", CheckpointMeta())
    assert checkpoint_digest(other) == loaded.digest
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_stopped_write_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    write_folder(folder, lambda partial: (partial / "x").write_text("old"))

    def fail(partial: Path) -> None:
        (partial / "x").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="space"):
        write_folder(folder, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert (folder / "x").read_text() == "old"
    write_folder(folder, lambda partial: (partial / "y").write_text("new"))
    assert [path.name for path in folder.iterdir()] == ["y"]


def test_incomplete_folders_are_refused(tmp_path: Path, tokenizer: Any, tiny_shape: dict[str, int]) -> None:
    folder = save_checkpoint(new_nano(tokenizer, NanoShape(**tiny_shape)), tokenizer, tmp_path / "c", CheckpointMeta())
    with pytest.raises(UserError, match="no such tokenizer folder"):
        load_checkpoint(tmp_path / "nowhere")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:100])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights"):
        load_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no tokenizer"):
        load_checkpoint(folder)


def test_records_of_foreign_and_broken_checkpoints(tmp_path: Path) -> None:
    assert read_meta(tmp_path) == CheckpointMeta()
    (tmp_path / META).write_text('{"profile": "huge"}')
    with pytest.raises(UserError, match=META):
        read_meta(tmp_path)
