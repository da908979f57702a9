"""The policy that plays the rollouts of a run.

Promises: `make_policy` gives an engine that serves the weights under training, whose `update()`, after a `refresh()` of what it
follows, makes it serve the present ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medcopilot.agent.render import ChatRenderer
from medcopilot.rl.live import LivePolicy
from medcopilot.rl.settings import OnlineConfig
from medcopilot.train.model import Checkpoint


def make_policy(config: OnlineConfig, source: Checkpoint, live: LivePolicy, licences: Mapping[str, str] | None = None) -> Any:
    """The engine that generates with the weights under training. Every rank has one of its own, and all must call it together.

    Args:
        licences: dataset -> licence tag, for the agreement gate of servers elsewhere; one without a tag is restricted there.
    """
    settings, renderer = config.engine, ChatRenderer(source.tokenizer)
    options: dict[str, Any] = {"dtype": settings.dtype, "name": config.name, "version": source.meta.policy_version}
    options |= settings.options
    if settings.kind == "vllm_server" and settings.servers is not None:
        from medcopilot.policies.vllm_server import VllmServerPolicy

        del options["dtype"]  # the servers' own
        model, weights = (live.trained, live.adapter) if live.only_adapter else (live.model, None)
        return VllmServerPolicy.from_model(model, source.tokenizer, renderer, settings.servers.share(), weights=weights,
                                           scores=live.scores if live.copied else None, licences=licences, **options)
    if settings.kind == "vllm":
        from medcopilot.policies.vllm_offline import VllmPolicy

        return VllmPolicy.from_model(live.model, source.tokenizer, renderer, **options)
    from medcopilot.policies.transformers_engine import TransformersPolicy

    options.setdefault("slots", config.rollouts.concurrency)
    return TransformersPolicy(live.model, source.tokenizer, renderer, **options)
