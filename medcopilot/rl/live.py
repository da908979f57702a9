"""The policy under training as engines see it: whole, in the parent's shape, whatever training has made of it.

Promises: where training holds the policy in parts (ZeRO-3, FSDP2) or as parent and adapter, `model` is a plain copy of it with
whole, merged weights, brought up to date by `refresh` and by nothing else; elsewhere `model` is the policy itself. Training is not
disturbed. After each refresh copy and trainer score the same probe batch, and a copy that scores otherwise is not served.
Does not cover: how weights get from `model` into an engine (`medcopilot.policies`). The copy takes the memory of one more model on
every rank, also while it is brought up to date; of an adapted policy that lies in one piece only the adapted matrices are copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from env.errors import EngineError
from medcopilot.policies.sync_probe import difference, probe_rows, trained_scores
from medcopilot.rl.settings import OnlineConfig
from medcopilot.train.adapters import merge
from medcopilot.train.launch import read_launch
from medcopilot.train.parallel import empty_copy, gathered, whole_weights

EXACT = 0.01
"""Largest difference of a logprob, in nats, between copy and trainer where both compute in float32."""


class LivePolicy:
    """One rank's view of the policy under training.

    Args:
        trained: a causal language model or peft's model of one, before anything has been wrapped around it.
        renderer: makes the probe batch.
        device: where the engine reads weights.
    """

    def __init__(self, trained: Any, config: OnlineConfig, renderer: Any, device: torch.device | str = "cpu") -> None:
        self.trained = trained
        self.trainer: Any = None
        """Scores rows by its `probe`, through whatever has been wrapped around the policy; None until there is one."""
        self.sharded, self.adapted = read_launch().sharded, config.model.lora is not None
        servers = config.engine.servers
        self.only_adapter = self.adapted and servers is not None and servers.sync == "lora"
        """Servers hold the parent and get the adapter."""
        self.copied = self.sharded or (self.adapted and not self.only_adapter)
        self._probed = servers is None  # servers are probed themselves, after each sync
        self._dtype: torch.dtype = getattr(torch, config.model.dtype)
        self._exact = self._dtype == torch.float32 and not (self.sharded and config.bf16)
        """ZeRO-3 and FSDP2 compute with weights rounded to bfloat16; the engine gets those that are trained."""
        self._device = device
        self._rows = probe_rows(renderer)
        self._metrics: dict[str, float] = {}
        self._base = trained.get_base_model() if self.adapted else trained
        if not self.sharded:
            trained.to(device)  # an engine looks where they lie before a trainer moves them
        self.model = empty_copy(self._base) if self.copied else trained
        if self.copied:
            self._fill()

    def refresh(self) -> None:
        """Bring the copy up to the present weights. Every rank must call it, between two steps.

        Raises:
            EngineError: the copy does not compute what the trainer does.
        """
        if self.only_adapter:
            self.model = self.trained  # the copy scored the start only
        if self.only_adapter or not self.copied:
            return
        self._fill()
        if self._probed:
            gap = difference(trained_scores(self.model, self._rows), self.scores(self._rows))
            limit = EXACT if self._exact else 1.0
            if gap.largest > limit:
                raise EngineError(f"the weights that the engine is to get do not compute what the trainer's do: a logprob of the "
                                  f"probe batch is off by {gap.largest:.3g} (limit {limit:g})")
            self._metrics = {"sync/probe_max": gap.largest, "sync/probe_mean": gap.mean}

    def scores(self, rows: list[list[int]]) -> list[list[float]]:
        """As `sync_probe.trained_scores`, under the weights in training. Every rank must call it."""
        if not self.sharded:
            return trained_scores(self.trained, rows)
        if self.trainer is None:  # nothing gathers the parts during a forward pass yet, and nothing has been trained
            return trained_scores(self.model, rows)
        found: list[list[float]] = self.trainer.probe(rows)
        return found

    def adapter(self) -> Iterator[tuple[str, Tensor]]:
        """The adapter's whole weights by their names in peft's model. Every rank must call it."""
        weights = whole_weights(self.trained, everywhere=True, only=_of_adapter)
        return iter(weights.items())

    def metrics(self) -> dict[str, float]:
        """What a training step logs of the last refresh."""
        return dict(self._metrics)

    @torch.no_grad()
    def _fill(self) -> None:
        held = self.model.state_dict(keep_vars=True)
        if any(tensor.is_meta for tensor in held.values()):
            fresh = {name: tensor.to(self._device, self._dtype if tensor.is_floating_point() else tensor.dtype)
                     for name, tensor in self._plain()}
            self.model.load_state_dict(fresh, assign=True)
            self.model.tie_weights()
            self.model.to(self._device).requires_grad_(False)
            return
        for name, tensor in self._plain():  # in place: a second whole copy would be twice the memory on every rank
            held.pop(name).copy_(tensor)
        if held:
            raise RuntimeError(f"weights that nothing has filled: {sorted(held)}")

    def _plain(self) -> Iterator[tuple[str, Tensor]]:
        """The present weights by their names in the copy, whole and merged, one at a time. Every rank goes through to the end."""
        if not self.adapted:
            yield from gathered(self._base, self._dtype, everywhere=True)
            return
        parent: Iterable[tuple[str, Tensor]]
        if self.sharded:
            adapters = whole_weights(self._base, everywhere=True, only=_of_adapter)
            parent = gathered(self._base, everywhere=True, only=lambda name: not _of_adapter(name))
        else:
            weights = self._base.state_dict()
            adapters = {name: tensor for name, tensor in weights.items() if _of_adapter(name)}
            parent = weights.items()
        for name, tensor in parent:  # added up before they are rounded
            yield from merge({**adapters, name: tensor}, self._base).items()


def _of_adapter(name: str) -> bool:
    return ".lora_" in name
