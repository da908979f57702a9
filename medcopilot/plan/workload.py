"""What a recipe asks of the hardware: models, the largest micro-batch, the work of a step, how many steps, and the engine.

Promises: memory is that of the largest micro-batch that the recipe's limits allow; time is that of the mean one. Lengths come from
the data file where it is there, else from `assumptions`, and which of the two is said.
Does not cover: how long anything takes (`speed`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from medcopilot.plan.activations import Batch, Numbers
from medcopilot.plan.architecture import Architecture
from medcopilot.plan.assumptions import ASSUMED, Assumptions
from medcopilot.plan.lengths import Lengths, lengths_of
from medcopilot.plan.memory import Role, Wrapper
from medcopilot.plan.recipe import SAMPLED, Recipe, architecture_of


class Work(NamedTuple):
    """One optimiser step on one GPU."""

    tokens: float
    scored: float
    """Tokens that go through the head."""
    squares: float
    """Sum of squared lengths."""
    micro_batches: int
    evaluate: int = 0
    """Passes without gradients over a round's tokens, of every model once each."""
    passes: int = 1
    """Updates that learn from the same tokens, which are evaluated once."""


class Engine(NamedTuple):
    """What generates."""

    kind: str
    share: float
    """Of the GPU's memory, where it is beside a trainer or alone on the GPU."""
    context: int
    slots: int
    """Sequences at once."""
    weights: int
    """Bytes of a weight."""
    copies: int = 1
    """Engines on one GPU, each of a process that knows nothing of the others; `slots` is what they have together."""


class Rollouts(NamedTuple):
    """What one GPU's engine plays between two updates."""

    episodes: float
    per_update: int
    """Optimiser steps that learn from it."""
    concurrency: int
    overlap: bool
    """The next round is played while the last one is learnt from."""


class Workload(NamedTuple):
    """A recipe on some number of GPUs."""

    arch: Architecture
    model: str
    roles: list[Role]
    work: Work | None
    steps: float | None
    """None: the clock ends the run."""
    seconds: float | None
    """Limit of the clock."""
    lengths: Lengths
    engine: Engine | None = None
    rollouts: Rollouts | None = None
    context: int = 0
    """Longest row in tokens."""
    notes: tuple[str, ...] = ()
    before: Work | None = None
    """One GPU's share of what the policy evaluates once, before the first step."""


def _numbers(config: Any, family: str, wrapper: Wrapper, lora: Any, packed: bool, cuda: bool) -> Numbers:
    zero = wrapper.startswith("ZeRO")
    weights = 2 if config.model.dtype == "bfloat16" or zero or wrapper == "FSDP2" else 4
    wanted = config.model.attention
    square = not cuda and (wanted == "causal_bmm" or (wanted == "auto" and family == "qwen2"))  # as `train.policy` chooses
    return Numbers(weights=weights, autocast=config.bf16, trained="lora" if lora else "full", rank=lora.rank if lora else 0,
                   targets=(lora.targets if isinstance(lora.targets, str) else tuple(lora.targets)) if lora else "all-linear",
                   adapter=2 if zero else 4, attention="packed" if packed else "square" if square else "fused",
                   checkpointing=config.model.gradient_checkpointing, cuda=cuda)


def chunk_rows(vocabulary: int, cuda: bool) -> int:
    """Tokens of a chunk of our head, as `train.chunked_loss` takes them."""
    return max(1024, 2**28 // vocabulary) if cuda else max(256, 2**22 // vocabulary)


def workload(recipe: Recipe, wrapper: Wrapper, world: int, assumed: Assumptions = ASSUMED, *, model: str | None = None,
             rows: int | None = None, cuda: bool = True) -> Workload:
    """What the recipe asks of `world` GPUs.

    Args:
        model: whose shape is taken; None: the recipe's.
        rows: of the data; None: the file's, or the paper's number.
        cuda: False: as the step runs on one process on a CPU.

    Raises:
        UserError: the model's shape is not known.
    """
    if recipe.stage in SAMPLED:
        from medcopilot.plan.sampling import sampling_workload

        return sampling_workload(recipe, assumed, model)
    arch, name = architecture_of(recipe, model)
    lengths = lengths_of(recipe, arch, assumed, rows)
    build = _online if recipe.stage in ("grpo", "ppo") else _on_rows
    return build(recipe, arch, name, wrapper, world, lengths, cuda)


def _on_rows(recipe: Recipe, arch: Architecture, name: str, wrapper: Wrapper, world: int, lengths: Lengths, cuda: bool) -> Workload:
    config = recipe.config
    packed = recipe.stage != "dpo" and config.packing
    numbers = _numbers(config, arch.family, wrapper, config.model.lora, packed, cuda)
    longest = min(config.max_length or arch.context, arch.context)
    mean = min(lengths.mean, longest)
    if recipe.stage == "dpo":
        largest = Batch(2 * config.batch_pairs, longest, round(2 * config.batch_pairs * longest * lengths.scored), masked=True)
        per_micro, count = 2.0 * config.batch_pairs, lengths.rows / config.batch_pairs
        tokens = per_micro * mean
    else:
        height = min(config.batch_rows or longest, max(1, config.batch_tokens // longest))
        width = config.batch_tokens if packed else longest
        head = lengths.scored * width * height if recipe.stage == "sft" else height * max(1.0, width / mean if packed else 1.0)
        largest = Batch(1 if packed else height, max(width, longest) if packed else width, round(head),
                        masked=not packed and height > 1)
        filled = 0.97 if packed else 0.9
        per_micro = min(float(config.batch_rows or 1e9), max(1.0, filled * config.batch_tokens / mean))
        tokens, count = per_micro * mean, lengths.rows / per_micro
    accumulation = config.accumulation
    steps = None if config.epochs is None else max(1.0, config.epochs * count / world / accumulation)
    if config.max_steps is not None:
        steps = min(steps or config.max_steps, config.max_steps)
    scored = tokens * lengths.scored if recipe.stage != "verifier" else per_micro
    work = Work(tokens * accumulation, scored * accumulation, per_micro * lengths.square(longest) * accumulation, accumulation)
    ours = chunk_rows(arch.vocabulary, cuda) if not cuda else None
    quantized = bool(config.model.lora and config.model.lora.quantize)
    role = Role("policy", arch, numbers, config.optimizer.name, quantized, largest, ours)
    notes: tuple[str, ...] = ()
    before = None
    if recipe.stage == "dpo":
        sides = 2 * lengths.rows / world
        before = Work(sides * mean, sides * mean * lengths.scored, sides * lengths.square(longest), 0)
        notes = ("reference sums of all pairs are computed once before training, by the same model: the hours count them, also "
                 "where the run's cache has them",)
    return Workload(arch, name, [role], work, steps, config.max_seconds, lengths, context=longest,
                    notes=(*notes, *_rounding([role], wrapper)), before=before)


def _online(recipe: Recipe, arch: Architecture, name: str, wrapper: Wrapper, world: int, lengths: Lengths, cuda: bool) -> Workload:
    config, rollouts, ppo = recipe.config, recipe.config.rollouts, recipe.stage == "ppo"
    options = config.engine.options
    longest = min(int(options.get("max_model_len", lengths.context)), arch.context, lengths.context)
    kept = rollouts.groups * rollouts.group_size
    minibatches = config.loss.minibatches if ppo else 1
    passes = config.loss.epochs if ppo else config.loss.iterations
    each = kept / minibatches / config.micro_batches
    mean = min(lengths.mean, longest)
    by_tokens = ppo or config.loss.type in ("dapo", "cispo", "vespo")
    height = max(1, round(max(longest, 1.15 * each * mean) / longest)) if by_tokens else max(1, -(-kept // config.micro_batches))
    scored = lengths.scored if ppo else 1.0  # TRL's head computes what the environment wrote, too
    batch = Batch(height, longest, round(height * longest * scored), masked=not ppo and height > 1)
    numbers = _numbers(config, arch.family, wrapper, config.model.lora, False, cuda)
    ours = chunk_rows(arch.vocabulary, cuda) if ppo or not cuda else None
    if ppo and wrapper == "ZeRO-3":
        ours = batch.head  # `rl.actor_critic.score` calls the head as a module there: all logits at once
    roles = [Role("policy", arch, numbers, config.optimizer.name, batch=batch, chunk=ours, cast=not ppo and not cuda)]
    if ppo:
        critic = arch if config.critic.checkpoint is None else architecture_of(recipe, config.critic.checkpoint)[0]
        of_critic = _numbers(config, critic.family, wrapper, config.critic.lora, False, cuda)
        roles.append(Role("critic", critic, of_critic, config.critic.optimizer.name, batch=batch))
    if config.loss.kl and config.model.lora is None:
        roles.append(Role("reference", arch, numbers._replace(trained="none")))
    evaluate = (2 + bool(config.loss.kl)) if ppo else int(bool(config.loss.kl))
    tokens = kept / minibatches * mean
    work = Work(tokens, tokens * scored, kept / minibatches * lengths.square(longest), config.micro_batches, evaluate, passes)
    steps: float | None = config.max_steps
    per_update = minibatches * passes
    if config.max_episodes is not None:
        by_episodes = config.max_episodes / (kept * world * (lengths.played if rollouts.filter else 1.0)) * per_update
        steps = min(steps or by_episodes, by_episodes)
    engine = Engine(config.engine.kind, float(options.get("gpu_memory_utilization", 0.9)), longest,
                    int(options.get("max_num_seqs", options.get("slots", rollouts.concurrency))),
                    2 if config.engine.dtype == "bfloat16" else 4)
    played = min(rollouts.max_groups / rollouts.groups, lengths.played) if rollouts.filter else 1.0
    play = Rollouts(kept * played, per_update, rollouts.concurrency, rollouts.staleness == 1)
    return Workload(arch, name, roles, work, steps, config.max_seconds, lengths, engine, play, longest, _rounding(roles, wrapper))


def _rounding(roles: list[Role], wrapper: Wrapper) -> tuple[str, ...]:
    """A warning where bfloat16 weights are all that there is of what is trained."""
    bare = any(role.numbers.trained == "full" and role.numbers.weights == 2 for role in roles)
    return ("caution: bfloat16 weights are trained without float32 originals here, and small steps are rounded away; ZeRO, FSDP2 "
            "and adapters keep them",) if bare and wrapper in ("none", "DDP") else ()
