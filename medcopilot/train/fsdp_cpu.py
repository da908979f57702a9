"""A correction that accelerate needs before it shards a model over CPU processes.

Promises: after `apply()`, a launch that asks for FSDP2 gets FSDP2 on CPUs too; as it is, accelerate 1.15 drops the request without
a word and trains plain data-parallel copies, because its list of kinds that may be sharded leaves out MULTI_CPU. Does nothing on
an accelerator. For tests and small models; `tests/unit/train/test_train_parallel.py` fails when a release needs something else.
"""

from __future__ import annotations

import functools
from typing import Any

_applied: list[bool] = []


def apply() -> None:
    """Patch the imported accelerate, once per process."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    if _applied:
        return
    original = AcceleratorState.__init__

    @functools.wraps(original)
    def with_fsdp(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        plugin = kwargs.get("fsdp_plugin")
        if plugin is None or self.distributed_type != DistributedType.MULTI_CPU:
            return
        # what the original does for every other kind of device
        if self._mixed_precision != "no":
            plugin.set_mixed_precision(self._mixed_precision)
        self.fsdp_plugin = plugin
        self.distributed_type = DistributedType.FSDP
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = with_fsdp
    _applied.append(True)
