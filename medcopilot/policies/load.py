"""From a word on the command line to a policy.

`expert` · `checkpoint FOLDER` (transformers) · `vllm:FOLDER` · `openai:MODEL@URL`. Heavy imports stay inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.policies.base import Policy


def load_policy(spec: str, *, seed: int = 0, detours: float = 0.3, licences: Mapping[str, str] | None = None,
                threads: int | None = None, **options: Any) -> Policy:
    """The policy that `spec` names.

    Args:
        spec: see the module docstring.
        seed: of the scripted expert.
        detours: share of the expert's episodes with exploration or an error and its repair.
        licences: dataset -> licence tag, for the agreement gate of endpoints.
        threads: CPU threads of the engine; None leaves torch's default.
        options: passed to the policy's constructor.
    """
    if spec == "expert":
        from medcopilot.policies.expert import ExpertPolicy

        return ExpertPolicy(seed=seed, detours=detours)
    if spec.startswith("openai:"):
        from medcopilot.policies.openai_api import OpenAIPolicy

        model, _, url = spec.removeprefix("openai:").partition("@")
        if not model or not url:
            raise UserError(f"policy {spec!r}: write openai:MODEL@URL, e.g. openai:qwen2.5-7b@http://127.0.0.1:8000/v1")
        return OpenAIPolicy(base_url=url, model=model, licences=dict(licences or {}), **options)
    folder = Path(spec.removeprefix("vllm:"))
    if not folder.is_dir():
        raise UserError(f"policy {spec!r} is neither expert, openai:MODEL@URL nor a checkpoint folder: check the path")
    if spec.startswith("vllm:"):
        from medcopilot.policies.vllm_offline import VllmPolicy

        return VllmPolicy.from_checkpoint(folder, **options)
    from medcopilot.policies.transformers_engine import TransformersPolicy

    return TransformersPolicy.from_checkpoint(folder, threads=threads, **options)
