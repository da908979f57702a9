"""One update step of each stage, from our own modules and without TRL.

Promises: losses, heads, packing and batches are those of training (`chunked_loss`, `packing`, `dpo_loss`, `grpo_loss`,
`actor_critic`, `ppo_loss`, `gae`); FLOPs count real tokens, never padding.
Does not cover: what is around a step in training: reading rows, rollouts, logs. On a GPU TRL's trainers use a Triton kernel for the
head in SFT, DPO and GRPO where ours is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medcopilot.bench.train import data, models
from medcopilot.bench.train.cases import SIZES, Case, Scale, Size, toy
from medcopilot.rl.actor_critic import ActorCritic, Places, score
from medcopilot.rl.batch import split_rows
from medcopilot.rl.experience import Credit, Experience, assign, collate, deal, pad
from medcopilot.rl.gae import alone
from medcopilot.rl.grpo_loss import dapo_loss
from medcopilot.rl.ppo_loss import policy_loss, value_loss
from medcopilot.rl.rounds import Row
from medcopilot.train.batches import IGNORE, PadRight, SftRows, TokenBatches
from medcopilot.train.chunked_loss import compact_loss
from medcopilot.train.dpo_loss import dpo_loss, likelihood_loss
from medcopilot.train.flops import shape_of
from medcopilot.train.packing import PackRows

KL, BETA, NLL = 0.001, 0.1, 0.2
"""Of the 7B recipes."""
VALUE_WEIGHT, VALUE_CLIP, RATIO_CAP, CLIP = 0.5, 0.2, 2.0, (0.2, 0.28)


@dataclass
class Step:
    """An update that can be repeated."""

    module: nn.Module
    """Everything that is trained."""
    batches: Sequence[Any]
    """Micro-batches."""
    loss: Callable[[Any], Tensor]
    """A micro-batch's part of the loss."""
    tokens: int
    """Without padding."""
    padded: int
    """With it."""
    trained: int
    """Tokens that carry loss."""
    flops: float
    recomputed: float
    """FLOPs with what gradient checkpointing computes twice."""
    evaluate: Callable[[], Any] | None = None
    """Passes without gradients that come before the update: values, old logprobs, the reference."""


def prepare(case: Case, scale: Scale, device: torch.device) -> Step:
    """Models and batches on the device.

    Raises:
        Missing: what an option needs is not there.
        torch.OutOfMemoryError: it does not fit.
    """
    return {"sft": _sft, "dpo": _dpo, "grpo": _grpo, "ppo": _ppo}[case.stage](case, scale, device)


def _size(case: Case, scale: Scale) -> Size:
    return toy(SIZES[case.size]) if scale.toy else SIZES[case.size]


def _sft(case: Case, scale: Scale, device: torch.device) -> Step:
    options, size = case.options, _size(case, scale)
    policy = models.build(size, options, device)
    lines = data.sft_lines(scale, size.vocabulary)
    if options.packing:
        batches = [PackRows(0, policy.style)(list(SftRows(line))) for line in lines]  # type: ignore[arg-type]
    else:
        rows = SftRows([row for line in lines for row in line])
        lengths = [len(row["input_ids"]) for row in rows.rows]
        padder = PadRight(0)
        batches = [padder([rows[i] for i in part]) for part in TokenBatches(lengths, scale.line).epoch(0)]
        for batch in batches:
            del batch["attention_mask"]  # padding lies behind every token: causality hides it
    sizes = [len(row["input_ids"]) for line in lines for row in line]
    trained = sum(int((row["labels"][1:] != IGNORE).sum()) for line in lines for row in line)

    def loss(batch: dict[str, Any]) -> Tensor:
        if options.chunked:
            rest = {name: value for name, value in batch.items() if name not in ("input_ids", "labels")}
            return compact_loss(policy.model, batch["input_ids"], batch["labels"], trained, **rest)[0]
        rest = {name: value for name, value in batch.items() if name != "labels"}
        logits = policy.model(**rest, use_cache=False).logits[:, :-1].float()
        targets = batch["labels"][:, 1:].flatten()
        return F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORE, reduction="sum") / trained

    flops, recomputed = _flops([(policy.model, sizes, trained)])
    return Step(policy.wrapper or policy.model, [_to(batch, device) for batch in batches], loss, sum(sizes),
                sum(batch["input_ids"].numel() for batch in batches), trained, flops, recomputed)


def _dpo(case: Case, scale: Scale, device: torch.device) -> Step:
    options, size = case.options, _size(case, scale)
    policy = models.build(size, options, device)
    starting = _starting(policy, case, scale, device)
    pairs = data.pair_rows(scale, size.vocabulary)
    batches = [_to(_padded(pair), device) for pair in pairs]  # one pair each: row 0 is chosen, row 1 rejected
    for batch in batches:
        batch["reference"] = torch.zeros(2, 1, device=device)

    def evaluate() -> None:
        for batch in batches:
            batch["reference"] = starting(batch).sum(1)[:, None]

    def loss(batch: dict[str, Tensor]) -> Tensor:
        logprobs = _logprobs(policy.model, batch, options.chunked)
        main = dpo_loss(logprobs.sum(1)[:, None], batch["reference"], BETA).mean()
        return (main + NLL * likelihood_loss(logprobs[:1], batch["mask"][:1])) / len(batches)

    evaluate()
    rows = [row for pair in pairs for row in pair]
    return _on_rows(policy.wrapper or policy.model, [policy.model], rows, batches, loss, evaluate if options.reference else None)


def _grpo(case: Case, scale: Scale, device: torch.device) -> Step:
    options, size = case.options, _size(case, scale)
    policy = models.build(size, options, device)
    starting = _starting(policy, case, scale, device) if options.reference else None
    rows = data.rollout_rows(scale, size.vocabulary)
    parts = split_rows(rows, scale.micro_batches)
    batches = [_to(_padded(part), device) for part in parts]
    total = sum(sum(row.mask) for row in rows)

    @torch.no_grad()
    def sample() -> None:
        for batch in batches:
            batch["old"] = _logprobs(policy.model, batch, True)

    def evaluate() -> None:
        for batch in batches:
            batch["reference"] = starting(batch) if starting else batch["old"]

    def loss(batch: dict[str, Tensor]) -> Tensor:
        logprobs = _logprobs(policy.model, batch, options.chunked)
        return dapo_loss(logprobs, batch["old"], batch["advantages"], batch["mask"], total, low=CLIP[0], high=CLIP[1],
                         cap=RATIO_CAP, reference=batch["reference"] if starting else None, kl=KL)

    sample()
    evaluate()
    return _on_rows(policy.wrapper or policy.model, [policy.model], rows, batches, loss, evaluate if starting else None)


def _ppo(case: Case, scale: Scale, device: torch.device) -> Step:
    options, size = case.options, _size(case, scale)
    actor, critic = models.build(size, options, device), models.build(size, options, device, seed=1)
    starting = _starting(actor, case, scale, device) if options.reference else None
    module = ActorCritic(actor.model, critic.model).to(device)
    rows = data.rollout_rows(scale, size.vocabulary)
    experiences = [Experience(row) for row in rows]
    [parts] = deal(experiences, 1, scale.micro_batches, (0,))
    inputs = [_to(_padded([one.row for one in part]), device) for part in parts]

    @torch.no_grad()
    def evaluate() -> list[tuple[Tensor, ...]]:
        found = []
        for batch in inputs:
            logprobs, _, values = module(batch["ids"], batch["mask"])
            found.append((logprobs.cpu(), values.cpu(), starting(batch).cpu() if starting else torch.zeros(len(logprobs), 0)))
        return found

    for part, (logprobs, values, start) in zip(parts, evaluate(), strict=True):
        for number, one in enumerate(part):
            length = len(one.row.ids)
            one.trainer, one.values, one.start = logprobs[number, :length], values[number, :length], start[number, :length]
            one.row = one.row._replace(logprobs=one.trainer.tolist())
    assign(experiences, Credit(gamma=1.0, lam=0.95, value_lam=1.0, whiten=True, kl=KL if starting else 0.0), alone)
    total = sum(sum(row.mask) for row in rows)

    def loss(batch: dict[str, Tensor]) -> Tensor:
        logprobs, _, values = module(batch["ids"], batch["mask"])
        policy = policy_loss(logprobs, batch["trainer"], batch["advantages"], *CLIP, RATIO_CAP)
        policy = policy * (batch["trainer"] - batch["engine"]).exp().clamp(max=RATIO_CAP)
        value = value_loss(values, batch["values"], batch["returns"], VALUE_CLIP)
        return ((policy + VALUE_WEIGHT * value) * batch["mask"]).sum() / total

    batches = [_to(collate(part, 0), device) for part in parts]
    return _on_rows(module, [actor.model, module.critic], rows, batches, loss, evaluate)


def _starting(policy: models.Policy, case: Case, scale: Scale, device: torch.device) -> Callable[[dict[str, Tensor]], Tensor]:
    """Logprobs under the policy that training starts from: a frozen copy, or the model without its adapters. DPO's cached sums need
    no copy, they are computed before the first step."""
    frozen = policy
    if case.options.reference and policy.wrapper is None:
        frozen = models.build(_size(case, scale), case.options, device, frozen=True)

    @torch.no_grad()
    def logprobs(batch: dict[str, Tensor]) -> Tensor:
        with frozen.without_adapters():
            return _logprobs(frozen.model, batch, True)

    return logprobs


def _logprobs(model: Any, batch: dict[str, Tensor], chunked: bool) -> Tensor:
    """(rows, tokens) log-probabilities of sampled tokens, 0 elsewhere."""
    ids, mask = batch["ids"], batch["mask"]
    if chunked:
        places = Places(mask)
        return places.spread(score(model, ids, places, 1.0)[0])
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    logprobs = -F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(ids), -1)
    return F.pad(logprobs, (1, 0)) * mask


def _padded(rows: Sequence[Row]) -> dict[str, Tensor]:
    return {"ids": pad([row.ids for row in rows]), "mask": pad([row.mask for row in rows]),
            "advantages": torch.tensor([row.advantage for row in rows])}


def _on_rows(module: nn.Module, trained_models: list[Any], rows: Sequence[Row], batches: Sequence[Any],
             loss: Callable[[Any], Tensor], evaluate: Callable[[], Any] | None) -> Step:
    """A step on padded rows; the first model has the head."""
    sizes, trained = [len(row.ids) for row in rows], sum(sum(row.mask) for row in rows)
    flops, recomputed = _flops([(model, sizes, trained if number == 0 else 0) for number, model in enumerate(trained_models)])
    return Step(module, batches, loss, sum(sizes), sum(batch["ids"].numel() for batch in batches), trained, flops, recomputed,
                evaluate)


def _flops(parts: Sequence[tuple[Any, Sequence[int], int]]) -> tuple[float, float]:
    """Of forward and backward passes over sequences, and with what is computed twice; the head at tokens with loss only."""
    plain = twice = 0.0
    for model, sizes, trained in parts:
        shape = shape_of(model)
        squares = sum(size**2 for size in sizes)
        plain += shape.forward_backward(sum(sizes), trained, squares)
        twice += shape.forward_backward(sum(sizes), trained, squares, recompute=True)
    return plain, twice


def _to(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
