"""Bytes of one GPU, part by part, under each way of sharding.

n weights of b bytes that are trained, W processes:

                weights      gradients       AdamW's states, and float32 originals
    alone, DDP  n b          n b             2 n b: bfloat16 weights have bfloat16 states and no originals; DDP's buckets n b more
    ZeRO-2      2 n          2 n / W         12 n / W
    ZeRO-3      2 n / W      2 n / W         12 n / W, and up to a billion weights gathered at a time
    FSDP2       4 n / W      4 n / W         8 n / W: accelerate trains in float32; two layers and what lies outside them gathered

Frozen weights have neither gradients nor states. SGD has one state, Muon one for matrices. Adapters are float32 but for ZeRO, which
turns every weight into bfloat16 and keeps its own originals. A reference is whole under DDP and ZeRO-2.

Promises: tensors are counted, not guessed (`measure` checks it on one process); what is not a tensor is named in `assumptions`.
Does not cover: offloading, tensor and pipeline parallelism.
Sources: Rajbhandari et al. 2020 (arXiv 1910.02054); defaults of DeepSpeed 0.19 (`reduce_bucket_size` 5e8,
`stage3_max_live_parameters` 1e9, `sub_group_size` 1e9); accelerate 1.15, `fsdp2_prepare_model`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from medcopilot.plan import activations
from medcopilot.plan.activations import Batch, Numbers
from medcopilot.plan.architecture import Architecture

Wrapper = Literal["none", "DDP", "ZeRO-2", "ZeRO-3", "FSDP2"]
OptimizerName = Literal["adamw", "muon", "sgd"]
BUCKET, LIVE, GROUP = 500_000_000, 1_000_000_000, 1_000_000_000
NF4 = 4.127 / 8
"""Bytes of a weight in 4 bits with doubly quantised scales (Dettmers et al. 2023, arXiv 2305.14314, section 3)."""


class Role(NamedTuple):
    """A model on the trainer's GPUs."""

    name: Literal["policy", "critic", "reference"]
    arch: Architecture
    numbers: Numbers
    optimizer: OptimizerName = "adamw"
    quantized: bool = False
    batch: Batch | None = None
    """The largest micro-batch that it goes forward and backward with; None: never backward."""
    chunk: int | None = None
    """Tokens of a chunk of our output head; None: TRL's kernel."""
    cast: bool = False
    """The head computes in float32, as GRPO's does on one CPU."""

    @property
    def whole(self) -> int:
        """Parameters, adapters not among them; a critic has one output instead of a head."""
        return self.arch.parameters(head=self.name != "critic")

    @property
    def extra(self) -> int:
        """A critic's own head, in float32."""
        return self.arch.hidden + 1 if self.name == "critic" else 0

    @property
    def adapter(self) -> int:
        return self.arch.adapter(self.numbers.rank, self.numbers.targets) if self.numbers.trained == "lora" else 0

    @property
    def trained(self) -> int:
        """Parameters that are trained, a critic's own head not among them."""
        return self.whole if self.numbers.trained == "full" else self.adapter

    def states(self) -> float:
        """Optimiser states per trained weight."""
        if self.optimizer == "muon":
            matrices = self.arch.linear if self.numbers.trained == "full" else self.trained
            return 2 - matrices / max(1, self.trained)
        return {"adamw": 2.0, "sgd": 1.0}[self.optimizer]


class Held(NamedTuple):
    """What a role holds all the time, in bytes of one GPU."""

    weights: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0


def held(role: Role, wrapper: Wrapper, world: int) -> Held:
    """Weights, gradients and optimiser states of one role."""
    b, own = role.numbers.weights, role.numbers.adapter
    frozen = 0 if role.numbers.trained == "full" else role.whole
    stored = role.arch.linear * NF4 + (role.whole - role.arch.linear) * b if role.quantized else frozen * b
    n, k = role.trained, role.states()
    if role.numbers.trained == "none":
        return Held(stored / (world if wrapper in ("ZeRO-3", "FSDP2") else 1))
    if wrapper in ("none", "DDP"):
        size = b if role.numbers.trained == "full" else own
        kept = 4 * role.extra
        return Held(stored + n * size + kept, n * size + kept, k * (n * size + kept))
    n += role.extra
    if wrapper == "ZeRO-2":
        return Held(2 * (n + frozen), 2 * n / world, (4 + 4 * k) * n / world)
    if wrapper == "ZeRO-3":
        return Held(2 * (n + frozen) / world, 2 * n / world, (4 + 4 * k) * n / world)
    return Held((4 * n + stored) / world, 4 * n / world, 4 * k * n / world)


class Parts(NamedTuple):
    """Bytes of one GPU."""

    weights: float
    reference: float
    gradients: float
    optimizer: float
    activations: float
    """Saved between the forward and the backward pass."""
    working: float
    """The most that is held for a moment: one layer computed again, the head's logits and gradients, the optimiser's step."""
    communication: float
    engine_weights: float = 0.0
    engine_cache: float = 0.0
    """Keys and values, and whatever else the engine takes of its share."""
    reserve: float = 0.0
    """Contexts and fragments."""

    @property
    def total(self) -> float:
        return sum(self)

    @property
    def tensors(self) -> float:
        """The trainer's own."""
        return sum(self[:7])


def saved(role: Role) -> float:
    """Bytes that autograd keeps of a role's forward pass."""
    if role.batch is None:
        return 0.0
    found = activations.decoder(role.arch, role.batch, role.numbers)
    total = found["layers"] + found["outside"]
    if role.name == "critic":
        return total + 4 * role.batch.head * role.arch.hidden
    return total + activations.head(role.arch, role.batch, role.numbers, role.chunk, role.cast)


def working(role: Role) -> float:
    """The most that a role's backward pass holds for a moment."""
    if role.batch is None:
        return 0.0
    once = activations.decoder(role.arch, role.batch, role.numbers)["layer"]
    layer = once + activations.layer_workspace(role.arch, role.batch, role.numbers)
    if role.name == "critic":
        return layer
    return max(layer, activations.head_workspace(role.arch, role.batch, role.numbers, role.chunk))


def stepping(role: Role, wrapper: Wrapper, world: int) -> float:
    """What the optimiser's step holds besides: AdamW's list of divisors, and under ZeRO gradients in float32."""
    n = role.trained
    if wrapper == "ZeRO-2":
        return 8 * n / world
    if wrapper == "ZeRO-3":
        return 8 * min(n / world, GROUP)
    if wrapper == "FSDP2":
        return 4 * n / world
    return n * (role.numbers.weights if role.numbers.trained == "full" else role.numbers.adapter)


def communication(roles: list[Role], wrapper: Wrapper) -> float:
    """Buckets of gradients, and weights that are gathered at a time."""
    if wrapper == "none":
        return 0.0
    if wrapper == "DDP":
        return sum(held(role, "DDP", 1).gradients for role in roles)
    if wrapper == "ZeRO-2":
        return 2.0 * BUCKET
    if wrapper == "ZeRO-3":
        return 2.0 * (min(LIVE, max(role.whole for role in roles)) + BUCKET)
    largest = max(roles, key=lambda role: role.whole)
    outside = largest.whole - largest.arch.layers * largest.arch.layer
    by_layer = 2 * 2 * largest.arch.layer + (4 * largest.arch.layer if largest.numbers.trained == "full" else 0)
    return float(by_layer + 2 * outside)


def parts(roles: list[Role], wrapper: Wrapper, world: int) -> Parts:
    """The trainer's share of a GPU, without an engine and without reserves."""
    kept = {role.name: held(role, wrapper, world) for role in roles}
    trained = [role for role in roles if role.numbers.trained != "none"]
    every = sum(saved(role) for role in trained)
    at_step = sum(stepping(role, wrapper, world) for role in trained)
    moment = max(max(working(role) for role in trained), at_step - every)
    return Parts(
        weights=sum(one.weights for name, one in kept.items() if name != "reference"),
        reference=kept["reference"].weights if "reference" in kept else 0.0,
        gradients=sum(one.gradients for one in kept.values()), optimizer=sum(one.optimizer for one in kept.values()),
        activations=every, working=moment, communication=communication(trained, wrapper))
