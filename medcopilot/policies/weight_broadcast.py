"""Weights by broadcast from the trainer's memory into a running vLLM server: over gloo (CPU) or NCCL (GPU).

Promises: see `weight_transport`; a broadcast whose other side fails or hangs is given up, and never keeps the process alive; with
NCCL it is taken off the GPU too, where it would wait for ever, and with it whoever waits for that GPU.
Does not cover: the server's side (`vllm_plugin.engines` for gloo, vLLM's own for NCCL).
Source: `vllm/distributed/weight_transfer/nccl_engine.py` and `nccl_common.py`, vLLM 0.31.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from medcopilot.policies.vllm_plugin import gloo
from medcopilot.policies.vllm_pool import Server
from medcopilot.policies.vllm_protocol import TryElsewhere
from medcopilot.policies.weight_transport import Package, updating

Result = TypeVar("Result")


class BroadcastTransport:
    """What gloo and NCCL have in common: one process group per server, so that one that dies leaves the others alone."""

    backend: str | None = None

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._groups: dict[Server, Any] = {}

    async def load(self, server: Server, package: Package) -> None:
        """See `Transport`. The broadcast runs beside the request that makes the server receive it."""
        if server not in self._groups:
            self._groups[server] = await self.connect(server)
        group = self._groups[server]
        async with updating(server, package.tag, self.seconds):
            receive = server.client.post("/update_weights", {"update_info": package.metadata}, self.seconds)
            await both(receive, in_thread(lambda: self.send(group, package.weights)), self.seconds, f"{server.url}: broadcast")

    def forget(self, server: Server) -> None:
        """Leave the group."""
        self._groups.pop(server, None)

    async def connect(self, server: Server) -> Any:
        """A group with all workers of a server."""
        told = await server.client.get("/get_world_size", self.seconds)
        world = 1 + int(told["world_size"])
        address = gloo.local_address(*server.client.address)
        port, meet = self.rendezvous(address, world)
        info = {"master_address": address, "master_port": port, "rank_offset": 1, "world_size": world, **self.details()}
        join = server.client.post("/init_weight_transfer_engine", {"init_info": info}, self.seconds)
        return await both(join, in_thread(meet), self.seconds, f"{server.url}: meeting its workers at {address}:{port}")

    def rendezvous(self, address: str, world: int) -> tuple[int, Callable[[], Any]]:
        """Port, and what returns the group once the workers are there."""
        raise AssertionError("a transport says how")

    def details(self) -> dict[str, Any]:
        """Further fields of the handshake."""
        return {}

    def send(self, group: Any, weights: list[tuple[str, torch.Tensor]]) -> None:
        """Broadcast all tensors as rank 0; returns when they may change again."""
        raise AssertionError("a transport says how")


class GlooTransport(BroadcastTransport):
    """Over TCP, on the CPU; the server needs our plugin."""

    backend = "gloo"

    def rendezvous(self, address: str, world: int) -> tuple[int, Callable[[], Any]]:
        """See `BroadcastTransport`."""
        store = gloo.open_store(address, self.seconds)
        return store.port, lambda: gloo.open_group(store, address, 0, world, self.seconds)

    def details(self) -> dict[str, Any]:
        """The server must not wait longer than we do."""
        return {"timeout": self.seconds}

    def send(self, group: Any, weights: list[tuple[str, torch.Tensor]]) -> None:
        """See `BroadcastTransport`."""
        gloo.send(group, weights)


class NcclTransport(BroadcastTransport):
    """Between GPUs, with vLLM's own packed broadcast; vLLM must be installed beside the trainer. Trainer and server need a GPU
    each: NCCL refuses two ranks on one. Made in the trainer's own thread, whose GPU it takes."""

    backend = "nccl"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        # here and not where it is used: every other thread, that of the servers too, starts on device 0, whichever rank this is
        self._device = torch.cuda.current_device() if torch.cuda.is_available() else 0

    def rendezvous(self, address: str, world: int) -> tuple[int, Callable[[], Any]]:
        """See `BroadcastTransport`. The port is free when it is looked for; vLLM binds it itself a moment later."""
        with socket.create_server((address, 0)) as probe:
            port = probe.getsockname()[1]

        def meet() -> Any:
            from vllm.distributed.weight_transfer.nccl_common import trainer_init

            torch.cuda.set_device(self._device)
            group = trainer_init({"master_address": address, "master_port": port, "world_size": world})
            if not group.available:  # vLLM goes on without
                raise RuntimeError("vLLM found no NCCL library in the trainer's environment")
            return group

        return port, meet

    def forget(self, server: Server) -> None:
        """Leave the group. A broadcast that still waits for the server ends here: by itself its kernel never would, and the next
        sync's `torch.cuda.synchronize` would wait for it."""
        group = self._groups.pop(server, None)
        if group is not None:
            group.disabled = True  # first: the thread that is sending must not send on through what is freed here
            threading.Thread(target=_abort, args=(group,), name="weights", daemon=True).start()  # it may take its time

    def details(self) -> dict[str, Any]:
        """Small tensors travel together."""
        return {"packed": True}

    def send(self, group: Any, weights: list[tuple[str, torch.Tensor]]) -> None:
        """See `BroadcastTransport`."""
        from vllm.distributed.weight_transfer.packed_tensor import packed_nccl_broadcast_producer

        torch.cuda.set_device(group.device)
        torch.cuda.synchronize(group.device)  # the optimiser's last writes: the broadcast reads on streams of its own
        packed_nccl_broadcast_producer(iterator=_on(weights, group.device), group=group, src=0, post_iter_func=lambda item: item[1])
        torch.cuda.synchronize(group.device)


def _abort(group: Any) -> None:
    """End a communicator of vLLM's, whatever it is doing. (Its own `destroy` would do so before it is `disabled`.)"""
    torch.cuda.set_device(group.device)
    group.nccl.ncclCommAbort(group.comm)


def _on(weights: list[tuple[str, torch.Tensor]], device: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights on a device, one at a time: parameters may be offloaded to the CPU."""
    for name, tensor in weights:
        yield name, tensor.detach().to(device, non_blocking=True)


def in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Blocking work in a thread that does not keep the process alive: a broken broadcast may hang until its own deadline."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as failure:
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=run, name="weights", daemon=True).start()
    return future


async def both(request: Any, ours: asyncio.Future[Result], seconds: float, what: str) -> Result:
    """A request and our side of it, until both are done or one has failed.

    Returns:
        What our side returned.

    Raises:
        TryElsewhere: one of them failed, or took longer than `seconds`; the other is not waited for.
    """
    theirs = asyncio.ensure_future(request)
    try:
        done, late = await asyncio.wait({theirs, ours}, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for side in done:
            side.result()
        if late:
            raise TryElsewhere(f"{what}: not done within {seconds:g} s", down=True)
        return ours.result()
    except (RuntimeError, OSError, ValueError, ImportError) as error:
        raise TryElsewhere(f"{what}: {type(error).__name__}: {error}", down=True) from error
    finally:
        theirs.cancel()
        ours.cancel()
