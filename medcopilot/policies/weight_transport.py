"""How the weights of a model under training get into a running vLLM server.

Promises: each transport loads one package into one server, whole, or raises `TryElsewhere`; what a server was told to call these
weights (`tag`, or the adapter's name) is gone after a restart, so stale weights are recognised.
Does not cover: broadcasts (`weight_broadcast`), pausing, cache, probe, routing (`weight_sync`).
Source: life cycle of `vllm/distributed/weight_transfer` and routes of `vllm/entrypoints/serve/dev/rlhf`, vLLM 0.31.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from medcopilot.policies.vllm_pool import LOOK_SECONDS, Server
from medcopilot.policies.vllm_protocol import Refused, TryElsewhere

KEPT_ADAPTERS = 2


@dataclass(frozen=True)
class Package:
    """One version of the weights, ready to be sent. Tensors are the trainer's own: it waits until they are sent."""

    version: int
    tag: str
    """What a server calls these weights."""
    weights: list[tuple[str, torch.Tensor]]
    """Names and shapes as in a checkpoint; empty for an adapter."""
    folder: Path | None
    """Where they are written; None: nowhere."""
    dtype: str
    rows: list[list[int]]
    """The probe batch."""
    scores: list[list[float]]
    """Its logprobs under the trained model."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What a receiver must expect."""
        return {"names": [name for name, _ in self.weights],
                "dtype_names": [str(tensor.dtype).removeprefix("torch.") for _, tensor in self.weights],
                "shapes": [list(tensor.shape) for _, tensor in self.weights]}


class Transport(Protocol):
    """One way to load weights."""

    backend: str | None
    """The weight-transfer backend that the server must have been started with."""

    async def load(self, server: Server, package: Package) -> None:
        """Replace the server's weights by the package."""

    def forget(self, server: Server) -> None:
        """Drop what is open to a server."""


@contextlib.asynccontextmanager
async def updating(server: Server, tag: str, seconds: float) -> AsyncIterator[None]:
    """A weight update of a server, ended whatever happens inside: it refuses to start another one meanwhile."""
    await server.client.post("/start_weight_update", None, seconds)
    try:
        yield
    except BaseException:
        with contextlib.suppress(TryElsewhere, Refused):
            await server.client.post("/finish_weight_update", None, min(seconds, LOOK_SECONDS))
        raise
    await server.client.post("/finish_weight_update", {"weight_version": tag}, seconds)


class FileTransport:
    """Safetensors in a folder that both sides see, read through the server's own update routes."""

    backend: str | None = "file"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def load(self, server: Server, package: Package) -> None:
        """See `Transport`."""
        async with updating(server, package.tag, self.seconds):
            await server.client.post("/update_weights", {"update_info": {"path": str(package.folder)}}, self.seconds)

    def forget(self, server: Server) -> None:
        """Nothing is open."""


class ReloadTransport:
    """The same files, through vLLM's `reload_weights`: any server in development mode."""

    backend: str | None = None

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def load(self, server: Server, package: Package) -> None:
        """See `Transport`."""
        order = {"method": "reload_weights", "kwargs": {"weights_path": str(package.folder)}, "timeout": self.seconds}
        await server.client.post("/collective_rpc", order, self.seconds)
        await server.client.post("/update_weight_version", {"new_version": package.tag}, self.seconds)

    def forget(self, server: Server) -> None:
        """Nothing is open."""


class AdapterTransport:
    """A LoRA adapter under a name of its own for each version; requests in flight go on with theirs."""

    backend: str | None = None

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._held: dict[Server, list[str]] = {}

    async def load(self, server: Server, package: Package) -> None:
        """See `Transport`. The two newest adapters are kept."""
        name = package.tag
        order = {"lora_name": name, "lora_path": str(package.folder)}
        if name in await adapters(server, self.seconds):  # an earlier run's: same name, other weights
            await server.client.post("/v1/unload_lora_adapter", {"lora_name": name}, self.seconds)
            await server.client.post("/reset_prefix_cache", None, self.seconds)
        await server.client.post("/v1/load_lora_adapter", order, self.seconds)
        held = [other for other in self._held.get(server, []) if other != name] + [name]
        for old in held[:-KEPT_ADAPTERS]:
            with contextlib.suppress(Refused):  # unknown there: the server was restarted
                await server.client.post("/v1/unload_lora_adapter", {"lora_name": old}, self.seconds)
        self._held[server] = held[-KEPT_ADAPTERS:]

    def forget(self, server: Server) -> None:
        """The server starts without adapters."""
        self._held.pop(server, None)


async def adapters(server: Server, seconds: float) -> set[str]:
    """Names of all models that a server offers.

    Raises:
        TryElsewhere: it does not say.
    """
    told = await server.client.get("/v1/models", seconds)
    try:
        return {str(card["id"]) for card in told["data"]}
    except (KeyError, TypeError) as error:
        raise TryElsewhere(f"{server.url}/v1/models: unreadable") from error
