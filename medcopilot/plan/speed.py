"""Seconds of a step, and hours of a run.

    update    FLOPs with what is computed twice / (peak x utilisation), or the time that weights and gradients take over the links,
              whichever is longer
    decoding  one step reads the weights once and every open sequence's cache, or computes 2 N per sequence, whichever is longer;
              sequences that wait for the environment are not decoded, so the number of them is where both rates agree
    prefill   every token that the policy did not say, once (the prefix cache holds the earlier turns)

Promises: arithmetic on `assumptions`; a calibration replaces utilisations by measured ones.
Does not cover: loading, saving, evaluation between steps.
Sources: Pope et al. 2022 (arXiv 2211.05102), section 2, for decoding; `train.flops` for FLOPs.
"""

from __future__ import annotations

from typing import NamedTuple

from medcopilot.plan.architecture import Architecture
from medcopilot.plan.assumptions import NODE, Assumptions, Gpu
from medcopilot.plan.lengths import Lengths
from medcopilot.plan.memory import Role, Wrapper
from medcopilot.plan.workload import Engine, Rollouts, Work, Workload
from medcopilot.train.flop_counts import Shape


class Seconds(NamedTuple):
    """Of one optimiser step; a round's generation and evaluation are spread over its steps."""

    update: float
    evaluate: float
    generate: float
    environment: float
    """Of `generate`: how much longer it is than with an environment that answers at once."""
    overlap: bool

    @property
    def step(self) -> float:
        learnt = self.update + self.evaluate
        return max(learnt, self.generate) if self.overlap else learnt + self.generate


def shape_of(role: Role) -> Shape:
    """What a role costs per token; a critic has no head worth counting."""
    arch = role.arch
    head = 0 if role.name == "critic" else arch.embedding
    full = role.numbers.trained == "full"
    trained = arch.linear if full else role.adapter
    return Shape(arch.linear + (0 if full else role.adapter), trained, head, head if full else 0, arch.layers * arch.queries,
                 role.numbers.checkpointing)


def update_flops(roles: list[Role], work: Work) -> tuple[float, float]:
    """Of one GPU's step: forward and backward with recomputation, and the passes without gradients before it."""
    trained = [(role, shape_of(role)) for role in roles if role.numbers.trained != "none"]
    learnt = sum(shape.forward_backward(work.tokens, work.scored, work.squares, recompute=True) for _, shape in trained)
    each = [shape_of(role).forward(work.tokens, work.scored, work.squares) for role in roles]
    passes = (each + each[:1])[: work.evaluate] if work.evaluate >= len(each) else each[-work.evaluate:] if work.evaluate else []
    return learnt, sum(passes) / work.passes


def evaluation(load: Workload, rate: float) -> float:
    """Seconds of the pass without gradients before the first step; 0: there is none."""
    if load.before is None:
        return 0.0
    return shape_of(load.roles[0]).forward(load.before.tokens, load.before.scored, load.before.squares) / rate


def traffic(roles: list[Role], wrapper: Wrapper, world: int, micro_batches: int) -> float:
    """Bytes that one GPU sends in a step: all-gathers of weights, reductions of gradients."""
    if world == 1:
        return 0.0
    share = (world - 1) / world
    trained = [role for role in roles if role.numbers.trained != "none"]
    if wrapper in ("ZeRO-3", "FSDP2"):
        gathered = sum(2 * role.whole for role in trained) * 2 * micro_batches
        reduced = sum((4 if wrapper == "FSDP2" else 2) * role.trained for role in trained) * micro_batches
        return share * (gathered + reduced)
    reduced = sum(role.trained * role.numbers.weights for role in trained)
    return share * (2 * reduced if wrapper == "DDP" else reduced * micro_batches + reduced)


def link(gpu: Gpu, world: int, assumed: Assumptions) -> float:
    """Bytes per second that one GPU exchanges with the others."""
    return assumed.communication * (gpu.link if world <= NODE else assumed.network)


class Decoding(NamedTuple):
    """An engine at work."""

    sequences: float
    """Decoded at once."""
    step: float
    """Seconds of one token for each of them."""


def decoding(arch: Architecture, engine: Engine, gpu: Gpu, open_episodes: float, lengths: Lengths, wait: float,
             assumed: Assumptions) -> Decoding:
    """Where decoding and waiting agree. `wait`: seconds per turn in the environment."""
    weights = arch.parameters() * engine.weights
    cache = 2 * arch.layers * arch.keys * engine.weights * lengths.mean / 2  # half of it is there on average
    turn = lengths.mean * lengths.scored / lengths.turns
    peak = gpu.flops * assumed.prefill

    def step(sequences: float) -> float:
        read = (weights + sequences * cache) / (gpu.bandwidth * assumed.bandwidth)
        return max(read, 2 * sequences * arch.parameters() / peak) + assumed.launch

    sequences = min(open_episodes, engine.slots)
    for _ in range(50):
        said = turn * step(sequences)
        wanted = min(open_episodes * said / (said + wait), engine.slots)
        sequences = 0.5 * (sequences + max(1.0, wanted))
    return Decoding(sequences, step(sequences))


def generation(arch: Architecture, engine: Engine, gpu: Gpu, rollouts: Rollouts, lengths: Lengths, assumed: Assumptions, wait: float
               ) -> float:
    """Seconds in which one GPU's engine plays a round."""
    found = decoding(arch, engine, gpu, min(rollouts.concurrency, rollouts.episodes), lengths, wait, assumed)
    said = lengths.mean * lengths.scored
    tokens = rollouts.episodes * said
    prefill = rollouts.episodes * (lengths.mean - said) * 2 * arch.parameters() / (gpu.flops * assumed.prefill)
    latency = said * found.step + lengths.turns * wait
    return tokens * found.step / found.sequences + prefill + (assumed.tail - 1) * latency


def seconds(load: Workload, gpu: Gpu, wrapper: Wrapper, world: int, assumed: Assumptions, utilisation: float) -> Seconds:
    """Of one optimiser step. `utilisation`: share of the peak that an update reaches, recomputation counted."""
    assert load.work is not None
    learnt, before = update_flops(load.roles, load.work)
    rate = gpu.flops * utilisation
    moved = traffic(load.roles, wrapper, world, load.work.micro_batches) / link(gpu, world, assumed)
    generate = waited = 0.0
    if load.rollouts is not None and load.engine is not None:
        generate, without = (generation(load.arch, load.engine, gpu, load.rollouts, load.lengths, assumed, wait) /
                             load.rollouts.per_update for wait in (assumed.wait, 0.0))
        waited = max(0.0, generate - without)
    return Seconds(max(learnt / rate, moved), before / rate, generate, waited,
                   bool(load.rollouts and load.rollouts.overlap))
