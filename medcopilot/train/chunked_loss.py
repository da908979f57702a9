"""The output head in chunks: log-probabilities, entropy and cross entropy without the (tokens x vocabulary) table.

Promises: forward and backward hold the logits of one chunk of tokens at a time; values and gradients are those of the plain
computation; under autocast products run in its type and everything after them in float32. `use_chunked_head` makes TRL's trainers
use it, for the positions that carry loss only.
Does not cover: heads with a bias, soft-capped or scaled logits: those keep TRL's own head. On GPUs with Triton TRL's kernel does
the same in fewer passes over memory, and `use_chunked_head` leaves it in place.
"""

from __future__ import annotations

import contextlib
import functools
import types
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from medcopilot.train.flops import projected

IGNORE = -100


class Scores(NamedTuple):
    """Per token; all but the first two without gradient. `None`: not asked for."""

    logprobs: Tensor
    entropy: Tensor | None
    top: Tensor | None
    """Whether the target is the most likely token."""
    mean_logits: Tensor | None


def chunked_logprobs(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0, *,
                     chunk: int | None = None) -> tuple[Tensor, Tensor]:
    """Log-probability of each target in nats, and the entropy of the distribution it is from; both differentiable, float32.

    Args:
        hidden: (tokens, width), the last hidden states.
        weight: (vocabulary, width), of the output head.
        targets: (tokens,), ids.
        temperature: logits are divided by it.
        chunk: tokens at a time; None: as many as a modest table of logits holds.
    """
    scores = chunked_scores(hidden, weight, targets, temperature, chunk=chunk, extras=("entropy",))
    assert scores.entropy is not None
    return scores.logprobs, scores.entropy


def chunked_scores(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0, *, chunk: int | None = None,
                   extras: tuple[str, ...] = ()) -> Scores:
    """As `chunked_logprobs`, with the fields of `Scores` that `extras` names."""
    projected(weight, len(hidden))
    rows = chunk or _rows(len(weight), hidden.device.type)
    return Scores(*_Head.apply(hidden, weight, targets, temperature, rows, extras))


def chunked_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, total: Any = None, *, chunk: int | None = None
                          ) -> tuple[Tensor, float]:
    """Sum of the negative log-probabilities of targets other than -100, divided by `total` (None: by their number).

    Returns:
        The loss in nats, and the fraction of these targets that are the most likely token.
    """
    kept = targets != IGNORE
    scores = chunked_scores(hidden, weight, targets.clamp(min=0), chunk=chunk, extras=("top",))
    assert scores.top is not None
    count = int(kept.sum())
    loss = -scores.logprobs[kept].sum() / (max(1, count) if total is None else total)
    return loss, int(scores.top[kept].sum()) / max(1, count)


def compact_loss(model: Any, ids: Tensor, labels: Tensor, total: Any = None, **inputs: Any) -> tuple[Tensor, float]:
    """Cross entropy in nats over the positions with a label, summed and divided by `total` (None: by their number).

    Args:
        ids, labels: (batch, tokens), padded right or packed; labels are not shifted, -100 carries no loss.
        inputs: what else the model is called with.

    Returns:
        The loss, and the fraction of positions where the label is the most likely token.
    """
    target = labels[:, 1:].flatten()
    trained = (target != IGNORE).nonzero().flatten()
    spare = -len(trained) % 256  # few shapes, as in `PadRight`
    hidden = model.base_model(input_ids=ids, use_cache=False, **inputs).last_hidden_state[:, :-1].flatten(0, 1)
    return chunked_cross_entropy(hidden[pad(trained, (0, spare))], model.get_output_embeddings().weight,
                                 pad(target[trained], (0, spare), value=IGNORE), total)


def _rows(vocabulary: int, device: str) -> int:
    """Tokens of a chunk: 16 MiB of float32 logits on the CPU, whose caches are small, 1 GiB elsewhere; never few."""
    entries, least = (2**22, 256) if device == "cpu" else (2**28, 1024)
    return max(least, entries // vocabulary)


class _Head(torch.autograd.Function):
    """Logits of one chunk of tokens at a time; the backward pass computes them again, unless there is one chunk only."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, rows: int, extras: tuple[str, ...]
                ) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)  # entropy is often only logged
        device = hidden.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        ctx.rows, ctx.temperature = rows, temperature
        head = weight.to(ctx.dtype)
        found: dict[str, list[Tensor]] = {name: [] for name in ("logprobs", *extras)}
        table = None
        for part in _chunks(len(hidden), rows):
            logits = _logits(hidden[part], head, temperature)
            table = torch.log_softmax(logits, -1)
            found["logprobs"].append(_pick(table, targets[part]))
            if "entropy" in found:
                found["entropy"].append(-(table.exp() * table).sum(-1))
            if "top" in found:
                found["top"].append(logits.argmax(-1) == targets[part])
            if "mean_logits" in found:
                found["mean_logits"].append(logits.mean(-1))
        whole = {name: torch.cat(parts) if parts else hidden.new_zeros(0, dtype=torch.bool if name == "top" else torch.float32)
                 for name, parts in found.items()}
        single = len(hidden) <= rows
        ctx.save_for_backward(hidden, weight, targets, whole.get("entropy"), table if single else None)
        results = tuple(whole.get(name) for name in Scores._fields)
        ctx.mark_non_differentiable(*(x for x in results[2:] if x is not None))
        return results

    @staticmethod
    def backward(ctx: Any, by_logprob: Tensor | None, by_entropy: Tensor | None, *_: Any) -> tuple[Any, ...]:  # type: ignore[override]
        hidden, weight, targets, entropy, table = ctx.saved_tensors
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        to_hidden = torch.empty_like(hidden) if needs_hidden else None
        with _whole(weight):
            to_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if needs_weight else None
            head = weight.to(ctx.dtype)
            for part in _chunks(len(hidden), ctx.rows):
                logprobs = table if table is not None else torch.log_softmax(_logits(hidden[part], head, ctx.temperature), -1)
                grad = _gradient(logprobs, targets[part], None if by_logprob is None else by_logprob[part],
                                 None if by_entropy is None else (by_entropy[part], entropy[part]))
                grad = (grad / ctx.temperature if ctx.temperature != 1.0 else grad).to(ctx.dtype)
                if to_hidden is not None:
                    to_hidden[part] = grad @ head
                if to_weight is not None:
                    to_weight += grad.t() @ hidden[part].to(ctx.dtype)
        return to_hidden, None if to_weight is None else to_weight.to(weight.dtype), None, None, None, None


def _chunks(tokens: int, rows: int) -> list[slice]:
    return [slice(first, min(first + rows, tokens)) for first in range(0, tokens, rows)]


def _logits(hidden: Tensor, head: Tensor, temperature: float) -> Tensor:
    """(tokens, vocabulary), float32, divided by the temperature."""
    logits = (hidden.to(head.dtype) @ head.t()).float()
    return logits.div_(temperature) if temperature != 1.0 else logits


def _pick(table: Tensor, targets: Tensor) -> Tensor:
    return table.gather(-1, targets[:, None])[:, 0]


def _gradient(logprobs: Tensor, targets: Tensor, by_logprob: Tensor | None, by_entropy: tuple[Tensor, Tensor] | None) -> Tensor:
    """Of the loss by the (scaled) logits: g (1[target] - p) for log-probabilities, - g p (log p + H) for entropies H."""
    given = torch.zeros_like(logprobs)
    if by_logprob is not None:
        given.scatter_(-1, targets[:, None], by_logprob[:, None])
    grad = torch.ops.aten._log_softmax_backward_data(given, logprobs, -1, torch.float32)
    if by_entropy is not None:
        weight, entropy = by_entropy
        grad -= weight[:, None] * logprobs.exp() * (logprobs + entropy[:, None])
    return grad


def _whole(weight: Tensor) -> Any:
    """The context in which a weight that ZeRO-3 holds in shards is whole."""
    if not hasattr(weight, "ds_id"):
        return contextlib.nullcontext()
    from trl.trainer.utils import maybe_gather_lm_head_ctx

    return maybe_gather_lm_head_ctx(weight)


def use_chunked_head(model: Any) -> None:
    """Answer TRL's trainers, which call `model(..., labels=labels, fused_lm_head=True)`, with `chunked_scores`.

    Args:
        model: a causal language model (without peft's wrapper) that TRL has given its fused head.
    """
    from trl.kernels.chunked_logprob import _use_triton

    if model.get_output_embeddings().bias is not None or _scales_logits(model.config.get_text_config()):
        return
    trl_forward = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        other = not fused_lm_head or kwargs.get("shift_labels") is not None or kwargs.get("output_router_logits")
        if other or _use_triton(self.get_output_embeddings().weight.device):
            return trl_forward(*args, fused_lm_head=fused_lm_head, **kwargs)
        return _fused(self, *args, **kwargs)

    model.forward = types.MethodType(forward, model)


def _scales_logits(config: Any) -> bool:
    names = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier", "logits_scaling")
    return any(getattr(config, name, None) is not None for name in names)


def _fused(model: Any, *args: Any, labels: Tensor, num_items_in_batch: Any = None, **kwargs: Any) -> Any:
    """TRL's `FusedCausalLMOutput`: (batch, tokens - 1) each, 0 where the next token has no label."""
    from torch.distributed.tensor import DTensor
    from trl.trainer.utils import FusedCausalLMOutput

    kwargs.pop("shift_labels", None)
    states = model.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    mask = targets != IGNORE
    weight = model.get_output_embeddings().weight
    if isinstance(weight, DTensor):  # FSDP2: the backbone's output is a plain tensor
        weight = weight.full_tensor()
    with _whole(weight):
        scores = chunked_scores(states[mask], weight, targets[mask], extras=("entropy", "top", "mean_logits"))
    # `masked_scatter` keeps a batch without any label connected to the model, with gradient 0
    spread = [None if x is None else x.new_zeros(mask.shape).masked_scatter(mask, x) for x in scores]
    logprobs, entropy, top, mean_logits = spread
    assert logprobs is not None
    loss = -logprobs.sum() / (mask.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch)
    return FusedCausalLMOutput(loss=loss, log_probs=logprobs, entropy=entropy, mean_logits=mean_logits, is_top1=top,
                               label_mask=mask, log_sum_sq_probs=None, aux_loss=None)
