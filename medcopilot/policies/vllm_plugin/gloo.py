"""A process group of one trainer and one server's workers over TCP, beside whatever groups both already have.

Promises: rank 0 (the trainer) chooses the port, so no two runs can meet on one; the store listens on the given address only;
tensors travel as raw bytes, so every dtype does; a peer that vanishes or hangs is an error after `timeout` seconds.
Does not cover: authentication (anyone who reaches the port can join while it is open): use it on a loopback or private network.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
from torch.distributed import BroadcastOptions, PrefixStore, ProcessGroupGloo, TCPStore

_PREFIX = "medcopilot-weights"


def open_store(address: str, timeout: float) -> Any:
    """Rank 0's store; `store.port` says where it listens."""
    listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    port = listener.getsockname()[1]
    return TCPStore(address, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=timeout),
                    master_listen_fd=listener.detach())


def join_store(address: str, port: int, timeout: float) -> Any:
    """Any other rank's connection to it."""
    return TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=timeout))


def open_group(store: Any, address: str, rank: int, world_size: int, timeout: float) -> Any:
    """The group; returns when all ranks are there. `address`: of this process, as the others reach it."""
    options = ProcessGroupGloo._Options()
    options._devices = [ProcessGroupGloo.create_device(hostname=address)]
    options._timeout = timedelta(seconds=timeout)
    return ProcessGroupGloo(PrefixStore(_PREFIX, store), rank, world_size, options)


def broadcast(group: Any, tensor: torch.Tensor) -> None:
    """Rank 0's bytes into `tensor` (contiguous, on the CPU) of every other rank."""
    options = BroadcastOptions()
    options.rootRank, options.rootTensor = 0, 0
    group.broadcast([tensor.view(-1).view(torch.uint8)], options).wait()


def send(group: Any, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """All tensors, in order."""
    for _, tensor in weights:
        broadcast(group, tensor.detach().contiguous().cpu())


def local_address(host: str, port: int) -> str:
    """This machine's address on the way to `host`; nothing is sent."""
    family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
