"""Weights out of resumable states: DeepSpeed's ZeRO shards, FSDP2's sharded checkpoints, plain torch files.

Promises: `read_weights` gives whole tensors under the names that the policy has alone: the actor's of an actor-critic, without what
peft, DeepSpeed and torch put in front. ZeRO's are the float32 originals. One process, no accelerator, no process group.
Does not cover: optimiser state; states of other programs. These files are pickles: read only what you trained yourself.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path
from typing import Any, Literal

import torch

from env.errors import UserError
from env.files import file_digest

Form = Literal["checkpoint", "adapter", "zero", "fsdp", "torch"]
FSDP = "pytorch_model_fsdp_0"
"""accelerate's folder of the model's shards."""
_WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model.")
ACTOR = "actor."


def form_of(folder: Path) -> Form:
    """What kind of weights a folder holds.

    Raises:
        UserError: none that we know.
    """
    if (folder / "latest").is_file() and list(folder.glob("*/*_optim_states.pt")):
        return "zero"  # also where transformers has gathered 16-bit weights beside the shards
    if (folder / FSDP / ".metadata").is_file():
        return "fsdp"
    whole = any((folder / name).is_file() for name in _WHOLE)
    if (folder / "adapter_config.json").is_file() and not whole:
        return "adapter"
    if (folder / "config.json").is_file() and whole:
        return "checkpoint"
    if (folder / "pytorch_model.bin").is_file() or (folder / "model.safetensors").is_file():
        return "torch"
    raise UserError(f"{folder}: there are no weights here that can be published: give the folder of a finished stage "
                    "(runs/NAME/checkpoints/STAGE), of an adapter, or a resumable state (STAGE.work/checkpoint-N)")


def state_digest(folder: Path) -> str:
    """16 hex digits over every file that holds weights, shards included."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and
                   (path.suffix in (".safetensors", ".bin", ".pt", ".distcp") or path.name == "tokenizer.json"))
    body = "\n".join(f"{path.relative_to(folder)} {file_digest(path)}" for path in files)
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()


def read_weights(folder: Path, form: Form) -> dict[str, torch.Tensor]:
    """Whole tensors of a resumable state by the policy's own names.

    Raises:
        UserError: shards are missing or torn, or DeepSpeed is not installed.
    """
    readers = {"zero": _zero, "fsdp": _fsdp, "torch": _torch}
    try:
        found = readers[form](folder)
    except ImportError:
        raise UserError(f"{folder}: these are ZeRO shards, and DeepSpeed is not installed: pip install -r "
                        "requirements/deepspeed.txt, or `DS_BUILD_OPS=0 pip install --no-build-isolation deepspeed`") from None
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}: the shards cannot be put together ({reason}): copy the whole folder again, or take an older "
                        "checkpoint-N") from None
    return plain_names(found)


def plain_names(weights: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The policy's weights by its own names: wrappers' prefixes off, an actor's alone where there is a critic beside it."""
    plain = {_unwrapped(name): tensor for name, tensor in weights.items() if isinstance(tensor, torch.Tensor)}
    if any(name.startswith(ACTOR) for name in plain):
        plain = {_unwrapped(name.removeprefix(ACTOR)): tensor for name, tensor in plain.items() if name.startswith(ACTOR)}
    return plain


def _unwrapped(name: str) -> str:
    before = ""
    while before != name:
        before = name
        for prefix in _WRAPPERS:
            name = name.removeprefix(prefix)
    return name


def _zero(folder: Path) -> dict[str, Any]:
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    with contextlib.redirect_stdout(io.StringIO()):  # it prints every step
        found: dict[str, Any] = get_fp32_state_dict_from_zero_checkpoint(str(folder))
    return found


def _fsdp(folder: Path) -> dict[str, Any]:
    """As accelerate's `merge_fsdp_weights` does it, in memory."""
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint import format_utils

    found: dict[str, Any] = {}
    format_utils._load_state_dict(found, storage_reader=checkpoint.FileSystemReader(folder / FSDP),
                                  planner=format_utils._EmptyStateDictLoadPlanner(), no_dist=True)
    inner = next(iter(found.values())) if len(found) == 1 else found
    return inner if isinstance(inner, dict) else found


def _torch(folder: Path) -> dict[str, Any]:
    if (folder / "model.safetensors").is_file():
        from safetensors.torch import load_file

        return dict(load_file(folder / "model.safetensors"))
    found: dict[str, Any] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    return found
