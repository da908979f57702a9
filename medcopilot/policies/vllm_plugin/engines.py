"""The server's side of weight transfer where there is no NCCL: over gloo, or from files.

Promises: the life cycle and (gloo) the payload of vLLM's own `nccl` backend; a second handshake replaces the first.
Source: `vllm.distributed.weight_transfer.nccl_engine` of vLLM 0.31.
Does not cover: draft models, weights in kernel format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import WeightTransferEngine, WeightTransferInitInfo, WeightTransferUpdateInfo

from medcopilot.policies.vllm_plugin import gloo


@dataclass
class GlooInit(WeightTransferInitInfo):
    """Where the trainer waits."""

    master_address: str
    master_port: int
    rank_offset: int
    """Rank of this server's first worker."""
    world_size: int
    """All of the server's workers, and the trainer."""
    timeout: float = 300.0
    """Seconds that a broadcast may take."""


@dataclass
class GlooUpdate(WeightTransferUpdateInfo):
    """What comes, in this order; names and shapes as in a checkpoint."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]


@dataclass
class FileInit(WeightTransferInitInfo):
    """Nothing to agree on."""


@dataclass
class FileUpdate(WeightTransferUpdateInfo):
    """Folder with `*.safetensors`."""

    path: str


class _CheckpointEngine(WeightTransferEngine):
    """Weights in checkpoint format, loaded layer by layer."""

    def start_weight_update(self) -> None:
        """Prepare the layers."""
        from vllm.model_executor.model_loader.reload import initialize_layerwise_reload

        initialize_layerwise_reload(self.model)

    def finish_weight_update(self) -> None:
        """Process what has been loaded."""
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload

        finalize_layerwise_reload(self.model, self.model_config)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        """The base class's, which waits for an accelerator also where there is none."""
        self.receive_weights(self.parse_update_info(update_info))
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()


class GlooWeightTransferEngine(_CheckpointEngine):
    """Rank 0 is the trainer, the server's workers follow."""

    init_info_cls, update_info_cls = GlooInit, GlooUpdate
    group: Any = None

    def init_transfer_engine(self, init_info: GlooInit) -> None:
        """Meet the trainer."""
        parallel = self.parallel_config
        rank = parallel.data_parallel_index * parallel.world_size + parallel.rank + init_info.rank_offset
        address = gloo.local_address(init_info.master_address, init_info.master_port)
        store = gloo.join_store(init_info.master_address, init_info.master_port, init_info.timeout)
        self.group = gloo.open_group(store, address, rank, init_info.world_size, init_info.timeout)

    def receive_weights(self, update_info: GlooUpdate) -> None:
        """Load what the trainer broadcasts."""
        if self.group is None:
            raise RuntimeError("no trainer has joined: POST /init_weight_transfer_engine first")

        def arriving() -> Iterator[tuple[str, torch.Tensor]]:
            for name, dtype, shape in zip(update_info.names, update_info.dtype_names, update_info.shapes, strict=True):
                tensor = torch.empty(shape, dtype=getattr(torch, dtype))
                gloo.broadcast(self.group, tensor)
                yield name, tensor

        self.model.load_weights(arriving())

    def shutdown(self) -> None:
        """Leave the group."""
        self.group = None


class FileWeightTransferEngine(_CheckpointEngine):
    """Weights from a folder that trainer and server share."""

    init_info_cls, update_info_cls = FileInit, FileUpdate

    def init_transfer_engine(self, init_info: FileInit) -> None:
        """Nothing to set up."""

    def receive_weights(self, update_info: FileUpdate) -> None:
        """Load all safetensors files of the folder.

        Raises:
            FileNotFoundError: there are none.
        """
        from safetensors import safe_open

        files = sorted(Path(update_info.path).glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"{update_info.path} holds no *.safetensors file that this server can read")

        def stored() -> Iterator[tuple[str, torch.Tensor]]:
            for file in files:
                with safe_open(file, "pt") as handle:
                    for name in handle.keys():  # noqa: SIM118  (not a dict)
                        yield name, handle.get_tensor(name)

        self.model.load_weights(stored())

    def shutdown(self) -> None:
        """Nothing is held."""
