"""From a model under training to every server that samples for it.

Promises: after `spread` each server in use holds exactly the weights of the package, has forgotten keys and values of older ones,
and has scored a probe batch like the trained model (the largest difference is returned); a server for which one of these failed
takes no request until a later sync, or until it has been given the written weights. Turns that are in flight are waited for, so
none is sampled under two versions (adapters: none can be, they have names).
Does not cover: how bytes travel (`weight_transport`, `weight_broadcast`), models whose weights are spread over ranks (pass them
gathered).
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from env.errors import EngineError, UserError
from medcopilot.policies import sync_probe
from medcopilot.policies.server_settings import ServerSettings
from medcopilot.policies.sync_probe import Difference
from medcopilot.policies.vllm_pool import LOOK_SECONDS, Server, ServerPool
from medcopilot.policies.vllm_protocol import Refused, TryElsewhere
from medcopilot.policies.weight_broadcast import GlooTransport, NcclTransport
from medcopilot.policies.weight_transport import (
    AdapterTransport,
    FileTransport,
    Package,
    ReloadTransport,
    Transport,
    adapters,
)

TRANSPORTS: dict[str, Callable[[float], Transport]] = {
    "gloo": GlooTransport, "nccl": NcclTransport, "file": FileTransport, "reload": ReloadTransport, "lora": AdapterTransport}
KEPT_FOLDERS = 2
Weights = Callable[[], Iterable[tuple[str, Tensor]]]
Scores = Callable[[list[list[int]]], list[list[float]]]


class WrongServer(EngineError, UserError):
    """A server that was not started for this."""


class WeightSync:
    """Weight sync of one policy."""

    def __init__(self, settings: ServerSettings, renderer: Any) -> None:
        self.settings = settings
        self.rows = sync_probe.probe_rows(renderer)
        self.pool: ServerPool
        self.present: Package | None = None
        self._transport = TRANSPORTS[settings.sync](settings.sync_seconds) if settings.sync != "none" else None
        self._reload = ReloadTransport(settings.sync_seconds)
        self._run = secrets.token_hex(4)
        self._temporary = tempfile.mkdtemp(prefix="medcopilot-weights-") if settings.writes and settings.folder is None else None
        self._folders: list[Path] = []
        self._warned: set[str] = set()

    def prepare(self, model: Any, version: int, weights: Weights | None = None, scores: Scores | None = None) -> Package:
        """One version of a model, scored on the probe batch and written where needed. Runs in the trainer's thread.

        Args:
            weights: yields all weights under their checkpoint names (`sync` lora: the adapter's, under peft's); default: the
                model's own.
            scores: scores rows of ids under the trained weights, see `sync_probe.trained_scores`; default: by the model.

        Raises:
            UserError: an adapter is to be synced and there is none, or the other way round.
        """
        lora = self.settings.sync == "lora"
        if lora != (getattr(model, "peft_config", None) is not None):
            trouble = "has no LoRA adapter: choose gloo, nccl, file or reload" if lora else "has a LoRA adapter: choose lora"
            raise UserError(f"engine.servers.sync is {self.settings.sync}, but the model under training {trouble}")
        found = weights() if weights is not None else () if lora else model.named_parameters()
        named = [(name, tensor.detach()) for name, tensor in found]
        tag = f"policy-v{version}" if lora else f"{self._run}-v{version}"
        folder = self._write(model, named, f"{self._run}-v{version}") if self.settings.writes else None
        dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
        scored = scores(self.rows) if scores is not None else sync_probe.trained_scores(model, self.rows)
        return Package(version, tag, [] if lora else named, folder, dtype, self.rows, scored)

    async def connect(self) -> None:
        """First look at all servers; those whose weights never change serve from now on.

        Raises:
            EngineError: none can be reached for `wait_seconds`.
            WrongServer: one was not started for this kind of sync.
        """
        await self._someone()
        for server in self.pool.servers:
            try:
                await self.inspect(server)
            except TryElsewhere as failure:
                self.pool.take_out(server, str(failure))
                continue
            if server.version is not None:
                await self.pool.readmit(server)
        if not any(server.max_length for server in self.pool.servers):
            raise EngineError(f"no server can be reached: {self.pool.reasons()}")

    async def spread(self, package: Package) -> dict[str, float]:
        """Bring all servers to a package. Returns metrics.

        Raises:
            EngineError: not one server could be brought there.
        """
        started = time.perf_counter()
        pool, self.present = self.pool, package
        drain = self.settings.sync != "lora"
        await self._someone()
        async with pool.closed(drain=drain):
            if isinstance(self._transport, AdapterTransport | FileTransport | ReloadTransport):
                gaps = await asyncio.gather(*(self._give(server, package) for server in pool.servers))
            else:
                gaps = [await self._give(server, package) for server in pool.servers]
        self.present = Package(package.version, package.tag, [], package.folder, package.dtype, package.rows, package.scores)
        known = [gap for gap in gaps if gap is not None]
        if not known:
            raise EngineError(f"no server could be given version {package.version} of the weights: {pool.reasons()}")
        return {"sync/probe_max": max(gap.largest for gap in known), "sync/probe_mean": max(gap.mean for gap in known),
                "sync/servers": float(len(known)), "sync/servers_lost": float(len(gaps) - len(known)),
                "sync/seconds": time.perf_counter() - started}

    async def restore(self, server: Server) -> bool:
        """Whether a healthy server may serve: it holds the present weights, or could be given them.

        Raises:
            TryElsewhere, EngineError: not now.
        """
        async with server.busy:
            await self.inspect(server)
            package = self.present
            if package is None:
                server.lost = "" if server.version is not None else f"{server.url} waits for the first weight sync"
                return server.version is not None
            if server.version == package.version and await self._remembers(server):
                return True
            server.version = None
            server.epoch += 1
            if self._transport is not None:
                self._transport.forget(server)
            if package.folder is None:
                server.lost = f"{server.url} was restarted and waits for the next weight sync"
                return False
            await self._load(server, package, self._transport if self.settings.sync == "lora" else self._reload)
            return True

    async def inspect(self, server: Server) -> None:
        """Learn model name, context length and dtype of a server that answers for the first time.

        Raises:
            WrongServer: it was not started for this kind of sync.
        """
        if server.max_length:
            return
        mode, client = self.settings.sync, server.client
        config: dict[str, Any] = {}
        if mode != "none":
            try:
                config = (await client.get("/server_info?config_format=json", self.settings.sync_seconds))["vllm_config"]
            except Refused as refusal:
                if mode != "lora":
                    raise WrongServer(f"{server.url} does not take weights ({refusal}): start it with "
                                      f"`medcopilot serve CHECKPOINT --weight-sync {mode}`") from refusal
        wanted = self._transport.backend if self._transport else None
        backend = (config.get("weight_transfer_config") or {}).get("backend")
        if wanted is not None and backend != wanted:
            raise WrongServer(f"{server.url} takes weights by {backend or 'no backend'}, engine.servers.sync is {mode}: start it "
                              f"with `medcopilot serve CHECKPOINT --weight-sync {mode}`")
        told = await client.get("/v1/models", self.settings.sync_seconds)
        try:
            base = next(card for card in told["data"] if card.get("parent") is None)
            server.model = server.model or str(base["id"])
            server.dtype = str((config.get("model_config") or {}).get("dtype", "")).removeprefix("torch.")
            server.max_length = int(base["max_model_len"])
        except (KeyError, TypeError, StopIteration) as error:
            raise TryElsewhere(f"{server.url}/v1/models: unreadable") from error

    def close(self) -> None:
        """Remove what was written to a temporary folder."""
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    async def _someone(self) -> None:
        """Wait for at least one healthy server, `wait_seconds` at most; then go on as it is."""
        patience = time.monotonic() + self.settings.wait_seconds
        while True:
            looks = [server.client.get("/health", LOOK_SECONDS) for server in self.pool.servers]
            if not all(isinstance(look, Exception) for look in await asyncio.gather(*looks, return_exceptions=True)):
                return
            if time.monotonic() > patience:
                return
            await asyncio.sleep(0.5)

    async def _give(self, server: Server, package: Package) -> Difference | None:
        """Bring one server to a package and back into use; None: it could not be done."""
        assert self._transport is not None
        async with server.busy:
            if server.version is None:  # it may be another process than last time
                self._transport.forget(server)
            for again in (True, False):
                try:
                    await server.client.get("/health", LOOK_SECONDS)  # a frozen server is found before the long deadlines
                    await self.inspect(server)
                    gap = await self._load(server, package, self._transport)
                    await self.pool.readmit(server)
                    return gap
                except (TryElsewhere, EngineError) as failure:
                    self._transport.forget(server)
                    reason = str(failure)
                    if isinstance(failure, WrongServer) or not again:
                        break
        self.pool.counts["failed_syncs"] += 1
        warnings.warn(f"{server.url} got no new weights and is not used until it has them: {reason}", stacklevel=2)
        self.pool.take_out(server, reason, forgot=True)
        return None

    async def _load(self, server: Server, package: Package, transport: Transport) -> Difference:
        client, seconds = server.client, self.settings.sync_seconds
        if isinstance(transport, AdapterTransport):
            await transport.load(server, package)
            gap = await self._probe(server, package, package.tag)
            server.model, server.tag = package.tag, None
        else:
            server.version, server.epoch = None, server.epoch + 1
            await client.post("/pause?mode=keep", None, seconds)
            try:
                await transport.load(server, package)
                reset = await client.post("/reset_prefix_cache?reset_running_requests=true", None, seconds)
                if not (isinstance(reset, dict) and reset.get("success")):
                    raise TryElsewhere(f"{server.url} keeps the prefix cache of older weights: {reset}")
            finally:
                await client.post("/resume", None, seconds)
            gap = await self._probe(server, package, server.model)
            server.tag = package.tag
        server.version = package.version
        return gap

    async def _probe(self, server: Server, package: Package, model: str) -> Difference:
        """Compare served and trained logprobs."""
        served = await sync_probe.served_scores(server.client, model, package.rows, self.settings.sync_seconds)
        gap = sync_probe.difference(served, package.scores)
        exact = server.dtype == package.dtype == "float32"
        limit = self.settings.probe_limit or (0.01 if exact else 1.0)
        if server.dtype and server.dtype != package.dtype and server.url not in self._warned:
            self._warned.add(server.url)
            warnings.warn(f"{server.url} computes in {server.dtype}, the trainer's weights are {package.dtype}: logprobs of the "
                          "two differ by about 0.01; start both with the same dtype", stacklevel=2)
        if gap.largest > limit:
            raise TryElsewhere(f"{server.url} does not compute with the weights that it was given: a logprob of the probe batch is "
                               f"off by {gap.largest:.3g} (mean {gap.mean:.3g}, engine.servers.probe_limit {limit:g})")
        return gap

    async def _remembers(self, server: Server) -> bool:
        """Whether a server still holds what it was given."""
        if self.settings.sync == "lora":
            return server.model in await adapters(server, LOOK_SECONDS)
        try:
            await self.pool.check_tag(server)
        except TryElsewhere as failure:
            if failure.forgot:
                return False
            raise
        return True

    def _write(self, model: Any, named: list[tuple[str, Tensor]], name: str) -> Path:
        """Weights or adapter as a folder that appears whole; the two newest are kept."""
        root = Path(self._temporary or self.settings.folder or ".").resolve()
        root.mkdir(parents=True, exist_ok=True)
        partial, final = root / f".{name}.partial", root / name
        for folder in (partial, final):
            shutil.rmtree(folder, ignore_errors=True)
        partial.mkdir()
        if self.settings.sync == "lora":
            with torch.no_grad():
                model.save_pretrained(partial, **({"state_dict": dict(named)} if named else {}))
        else:
            from safetensors.torch import save_file

            save_file({key: tensor.contiguous().cpu() for key, tensor in named}, partial / "model.safetensors")
        partial.rename(final)
        self._folders = [folder for folder in self._folders if folder != final] + [final]
        for old in self._folders[:-KEPT_FOLDERS]:
            shutil.rmtree(old, ignore_errors=True)
        self._folders = self._folders[-KEPT_FOLDERS:]
        return final
