"""Actor and critic as one module, so that one wrapper (DDP, ZeRO, FSDP2) holds both.

Promises: `forward(ids, mask) -> (logprob, entropy, value)` is the only forward of a micro-step; logits are computed at the tokens
that are asked for only, in float32. The critic is a model of its own with a head for one number that starts at 0.
Does not cover: padding on the left, key-value caches.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from medcopilot.train.adapter_switch import switched_off
from medcopilot.train.chunked_loss import chunked_logprobs

if TYPE_CHECKING:
    from medcopilot.train.model import Checkpoint


class Places:
    """Which tokens are asked for.

    Where none is, the second token of the first row stands in with weight 0: every rank runs every layer, forward and backward.
    """

    def __init__(self, mask: Tensor) -> None:
        self.wanted = mask.bool()
        self.weight = float(self.wanted.any())
        if not self.weight:
            self.wanted = torch.zeros_like(self.wanted)
            self.wanted[0, 1] = True

    def before(self, states: Tensor) -> Tensor:
        """(rows, tokens, width) -> (n, width): the states that the wanted tokens are predicted from."""
        return states[:, :-1][self.wanted[:, 1:]]

    def spread(self, values: Tensor) -> Tensor:
        """(n,) -> (rows, tokens), 0 where nothing was asked for."""
        blank = torch.zeros(self.wanted.shape, dtype=torch.float32, device=values.device)
        return blank.masked_scatter(self.wanted, self.weight * values)


def score(model: Any, ids: Tensor, places: Places, temperature: float, entropy_gradient: bool = False) -> tuple[Tensor, Tensor]:
    """Logprob and entropy, (n,), of the wanted tokens under a causal language model."""
    hidden = places.before(model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state)
    head, targets = model.get_output_embeddings(), ids[places.wanted]
    with torch.autocast(ids.device.type, enabled=False):
        if hasattr(head.weight, "ds_id"):  # ZeRO-3 gathers a weight when its module is called
            logprobs = (head(hidden.to(head.weight.dtype)).float() / temperature).log_softmax(-1)
            logprob, entropy = logprobs.gather(-1, targets[:, None])[:, 0], -(logprobs.exp() * logprobs).sum(-1)
        else:
            logprob, entropy = chunked_logprobs(hidden.to(head.weight.dtype), head.weight, targets, temperature)
    return logprob, entropy if entropy_gradient else entropy.detach()


class Reference(nn.Module):
    """The starting policy: logprobs only, never trained."""

    def __init__(self, model: Any, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.temperature = temperature
        self.config = model.config
        self._no_split_modules = sorted(model._no_split_modules or ())
        """FSDP2's units, as in `ActorCritic`."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(rows, tokens) logprobs where the mask is 1; arguments as in `ActorCritic`."""
        places = Places(mask)
        return places.spread(score(self.model, ids, places, self.temperature)[0])


class ActorCritic(nn.Module):
    """Policy and value function over the same tokens.

    Args:
        actor: a causal language model.
        critic: another one of the same vocabulary, whose decoder is taken.
        temperature: of the rollouts; the actor's logits are divided by it.
        entropy_gradient: let the entropy be differentiated (for a bonus); it costs memory.
    """

    _keys_to_ignore_on_save = None
    """Asked for by transformers' Trainer when a state lacks weights: one with adapters has no frozen ones."""

    def __init__(self, actor: Any, critic: Any, temperature: float = 1.0, entropy_gradient: bool = False) -> None:
        super().__init__()
        self.actor = actor
        self.critic = critic.get_decoder()
        first = next(self.critic.parameters())
        # ZeRO-3 keeps trained weights of one type only, and float32 originals of them anyway
        dtype = first.dtype if hasattr(first, "ds_id") else torch.float32
        self.value_head = nn.Linear(self.critic.config.hidden_size, 1, dtype=dtype)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.temperature = temperature
        self.entropy_gradient = entropy_gradient
        self.config = actor.config
        """Read by DeepSpeed's integration for its automatic values."""
        self._no_split_modules = sorted({*(actor._no_split_modules or ()), *(critic._no_split_modules or ())})
        """Read by accelerate for FSDP2's units: the decoder layers of both."""

    def forward(self, ids: Tensor, mask: Tensor, start: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Logprob, entropy (nats) and value of every token where the mask is 1, 0 elsewhere.

        Args:
            ids: (rows, tokens), padded on the right: causality hides the padding, so attention needs no mask.
            mask: (rows, tokens), 1 for sampled tokens; 0 in the first column, which nothing predicts.
            start: of an actor with a LoRA adapter, what it computes without it; all values are 0.

        Returns:
            Three (rows, tokens) float32 tensors. `value[t]` is the estimate before token t is sampled. Gradients of logprob reach
            the actor, of value the critic.
        """
        places = Places(mask)
        with switched_off(self.actor) if start else contextlib.nullcontext():
            logprob, entropy = score(self.actor, ids, places, self.temperature, self.entropy_gradient)
        if start:
            return places.spread(logprob), places.spread(entropy), torch.zeros_like(mask, dtype=torch.float32)
        state = self.critic(input_ids=ids, use_cache=False).last_hidden_state
        with torch.autocast(ids.device.type, enabled=False):
            # float32, but for FSDP2 and ZeRO-3 under bfloat16, which compute with every weight in that
            value = self.value_head(places.before(state).to(self.value_head.weight.dtype)).float()[:, 0]
        return places.spread(logprob), places.spread(entropy), places.spread(value)

    def gradient_checkpointing_enable(self, **options: Any) -> None:
        """For transformers' Trainer; options as of its models."""
        for part in (self.actor, self.critic):
            part.gradient_checkpointing_enable(**options)
            if not part.get_input_embeddings().weight.requires_grad:  # LoRA: else nothing that is recomputed has a gradient
                part.enable_input_require_grads()


def from_checkpoints(actor: Checkpoint, critic: Checkpoint, temperature: float, entropy_gradient: bool = False) -> ActorCritic:
    """Actor and critic of one vocabulary.

    Raises:
        ValueError: the vocabularies differ.
    """
    one, other = actor.model.config.vocab_size, critic.model.config.vocab_size
    if one != other:
        raise ValueError(f"its vocabulary has {other} entries, the actor's {one}: take a checkpoint with the same tokenizer")
    return ActorCritic(actor.model, critic.model, temperature, entropy_gradient)
