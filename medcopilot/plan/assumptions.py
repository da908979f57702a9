"""What the planner takes from data sheets, and what it assumes: one place, each with its source.

Promises: data sheets and what was never measured here are told apart; every assumption can be replaced, on the command line or by a
file of `medcopilot bench train --json`.
Does not cover: other GPUs than the three that recipes name.
"""

from __future__ import annotations

from typing import NamedTuple

from env.errors import UserError
from medcopilot.train.flop_counts import PEAKS

GIB = 2**30


class Gpu(NamedTuple):
    """A device, by its vendor's data sheet."""

    name: str
    flops: float
    """Dense bfloat16, FLOP/s."""
    memory: float
    """Bytes that a process can use on an empty device (`torch.cuda.get_device_properties`)."""
    bandwidth: float
    """Of its memory, bytes per second."""
    link: float
    """NVLink, bytes per second in one direction."""
    utilisation: float
    """ASSUMED. Share of the peak that an update reaches, recomputation counted (HFU)."""


GPUS = {
    "a100-80": Gpu("A100 SXM 80 GB", PEAKS["A100"], 79.2 * GIB, 2.039e12, 300e9, 0.45),
    "h100": Gpu("H100 SXM 80 GB", PEAKS["H100"], 79.1 * GIB, 3.35e12, 450e9, 0.30),
    "h200": Gpu("H200 SXM 141 GB", PEAKS["H200"], 139.8 * GIB, 4.8e12, 450e9, 0.30),
}
"""NVIDIA's data sheets of A100 (80GB SXM), H100 SXM, H200 SXM. Utilisation: MosaicML's published tables for 7B models at 32,768
tokens on eight GPUs, with fused kernels and full sharding, give HFU 66 % (A100) and 41 % (H100)
(github.com/mosaicml/llm-foundry, scripts/train/benchmarking/README.md); seven tenths of that here, because norms and rotary
embeddings of transformers are not fused."""

NODE = 8
"""GPUs of a node."""


class Assumptions(NamedTuple):
    """What was not measured on a GPU here."""

    # trajectories of the full profile
    tokens: float = 9_400
    """Mean tokens of a trajectory: 15 turns at most, 9.25 on average in the paper, about 20 million tokens for 2,137 of them."""
    turns: float = 9.25
    """The paper's successful trajectories (arXiv 2506.04405)."""
    sampled: float = 0.35
    """Share of a trajectory's tokens that the policy says; the rest is prompt and observation (as `bench.train.data` has it)."""
    wait: float = 0.5
    """Seconds of a turn that the policy waits for the environment; 0.012 s were measured for a small pandas program
    (docs/performance.md), queries over whole tables take seconds."""
    tail: float = 2.1
    """How much longer the last episodes of a round take than the mean one: 95th percentile over median length of the demo's."""
    played: float = 1.5
    """Groups played for one that is kept, where those without a difference are dropped."""
    # efficiency
    online: float = 0.8
    """Of `Gpu.utilisation` in updates of GRPO and PPO, whose micro-batches are uneven rows."""
    bandwidth: float = 0.6
    """Share of the memory bandwidth that decoding reaches."""
    prefill: float = 0.4
    """Share of the peak that prefill reaches."""
    launch: float = 0.004
    """Seconds that an engine spends between two steps of decoding, whatever the model."""
    communication: float = 0.6
    """Share of a link's bandwidth that gathering and reducing weights reach."""
    network: float = 25e9
    """Bytes per second of one GPU between nodes (200 Gbit/s each)."""
    # memory
    context: float = 1.5 * GIB
    """CUDA's context, kernels and NCCL's buffers in one process."""
    fragments: float = 0.05
    """Of the trainer's tensors: what the allocator holds and cannot use."""
    engine: float = 2.0 * GIB
    """What vLLM needs besides weights and cache: its own activations and CUDA graphs."""
    spread: float = 1.5
    """Times are given from estimate / spread to estimate x spread."""


ASSUMED = Assumptions()


def gpu(name: str) -> Gpu:
    """By the name on the command line.

    Raises:
        UserError: none of the three.
    """
    if name not in GPUS:
        raise UserError(f"--gpu {name}: the planner knows {', '.join(GPUS)}")
    return GPUS[name]
