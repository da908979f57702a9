"""What a training step really holds, tensor by tensor, beside what the planner says.

Promises: `measured(config, run)` trains a (shrunken) recipe with its own trainer and counts weights, gradients, optimiser states
and what autograd saved for the backward pass of each micro-batch; a storage counts once, however many tensors share it, and weights
are no activations. Nothing of the run is changed.
Does not cover: what kernels allocate inside themselves, and under checkpointing the one layer that is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import TrainerCallback

from medcopilot.plan.activations import Batch
from medcopilot.train import loop


class Saved:
    """A context that counts what autograd saves inside it: `bytes`.

    Args:
        known: tensors that do not count, the weights.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        self._known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self._found: dict[int, int] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._found[storage.data_ptr()] = max(storage.nbytes(), self._found.get(storage.data_ptr(), 0))
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self._found.values())

    def __enter__(self) -> Saved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' storages, each once."""
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


class MicroBatch(NamedTuple):
    """One of a step's."""

    batch: Batch
    saved: int


class Measured(NamedTuple):
    """Bytes of one process."""

    weights: int
    """Of all models, a reference's included."""
    gradients: int
    optimizer: int
    batches: tuple[MicroBatch, ...]

    @property
    def largest(self) -> MicroBatch:
        return max(self.batches, key=lambda one: one.saved)


class Watch(TrainerCallback):
    """Counts in a trainer. Attach it before training begins."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.weights = self.gradients = self.optimizer = 0
        self.batches: list[MicroBatch] = []
        self._training_step, self._compute_loss = trainer.training_step, trainer.compute_loss
        self._shape: Batch | None = None
        trainer.training_step, trainer.compute_loss = self._step, self._loss
        trainer.add_callback(self)

    def _models(self) -> list[Any]:
        others = (getattr(self.trainer, name, None) for name in ("ref_model", "reference"))
        return [self.trainer.model, *(one for one in others if isinstance(one, torch.nn.Module))]

    def _step(self, *args: Any, **kwargs: Any) -> Any:
        with Saved(p for model in self._models() for p in model.parameters()) as saved:
            result = self._training_step(*args, **kwargs)
        assert self._shape is not None
        self.batches.append(MicroBatch(self._shape, saved.bytes))
        return result

    def _loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        self._shape = shape_of(inputs)
        return self._compute_loss(model, inputs, *args, **kwargs)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.weights = storage_bytes(p for model in self._models() for p in model.parameters())
        self.gradients = storage_bytes(p.grad for p in self.trainer.model.parameters() if p.grad is not None)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        optimizer = loop.unwrapped(self.trainer.optimizer)
        states = (value for parameter in optimizer.state.values() for value in parameter.values())
        self.optimizer = storage_bytes(value for value in states if isinstance(value, Tensor) and value.ndim)


def shape_of(inputs: dict[str, Any]) -> Batch:
    """The micro-batch that a trainer is about to compute."""
    if "ids" in inputs:  # PPO's
        return Batch(*inputs["ids"].shape, int(inputs["mask"][:, 1:].sum()))
    if "completion_ids" in inputs:  # GRPO's
        rows, width = inputs["completion_ids"].shape
        scored = int((inputs["completion_mask"] * inputs["tool_mask"]).sum())
        return Batch(rows, width + inputs["prompt_ids"].shape[1], scored)
    ids = inputs["input_ids"]
    padded = "attention_mask" in inputs and not bool(inputs["attention_mask"].all())
    if "completion_mask" in inputs:  # DPO's
        return Batch(*ids.shape, int(inputs["completion_mask"][:, 1:].sum()), masked=padded)
    groups = tuple((len(rows), width) for rows, width in inputs["segments"].groups) if "segments" in inputs else ()
    return Batch(*ids.shape, int((inputs["labels"][:, 1:] != -100).sum()), groups, padded)


@contextmanager
def watching() -> Iterator[list[Watch]]:
    """Inside, every trainer that `train.loop` runs is watched."""
    found: list[Watch] = []
    train = loop.train

    def watched(trainer: Any, *args: Any, **kwargs: Any) -> None:
        found.append(Watch(trainer))
        train(trainer, *args, **kwargs)

    loop.train = watched
    try:
        yield found
    finally:
        loop.train = train


def measured(config: Any, run: Callable[[Any], Any]) -> Measured:
    """Train and count. `run`: e.g. `run_sft`; the run must not be one that finished before."""
    with watching() as found:
        run(config)
    [watch] = found
    return Measured(watch.weights, watch.gradients, watch.optimizer, tuple(watch.batches))
