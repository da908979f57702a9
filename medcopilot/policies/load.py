"""From a word on the command line to a policy.

`expert` · `checkpoint FOLDER` (transformers) · `vllm:FOLDER` · `served:FOLDER@URL` (vLLM servers that serve that folder; several
URLs with commas) · `openai:MODEL@URL`. Heavy imports stay inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from env.errors import UserError
from medcopilot.policies.base import Policy


def check_policy(spec: str) -> None:
    """Whether the word names a policy, without loading one.

    Raises:
        UserError: it does not.
    """
    if spec == "expert":
        return
    if spec.startswith("openai:"):
        model, _, url = spec.removeprefix("openai:").partition("@")
        if not model or not url:
            raise UserError(f"policy {spec!r}: write openai:MODEL@URL, e.g. openai:qwen2.5-7b@http://127.0.0.1:8000/v1")
        _check_plain(f"openai:{model}", [url])
    elif spec.startswith("served:"):
        folder, found, urls = spec.removeprefix("served:").partition("@http")
        if not found or not Path(folder).is_dir():
            raise UserError(f"policy {spec!r}: write served:FOLDER@URL with the checkpoint folder that the server serves, e.g. "
                            "served:runs/demo/checkpoints/sft@http://127.0.0.1:8000")
        _check_plain(f"served:{folder}", f"http{urls}".split(","))
    elif not Path(spec.removeprefix("vllm:")).is_dir():
        raise UserError(f"policy {spec!r} is no expert, openai:MODEL@URL, served:FOLDER@URL or checkpoint folder: check the path")


def _check_plain(policy: str, urls: Iterable[str]) -> None:
    """Refuse an address that holds more than an address: the words of a policy stand in run records, reports and logs."""
    if any(mark in url for url in urls for mark in "@?#"):
        raise UserError(f"policy {policy}: the address holds a user, password or query, which run records and reports would show: "
                        "leave them out, and put a key into the environment variable OPENAI_API_KEY")


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

    Raises:
        UserError: the word names no policy, or its checkpoint cannot be read.
    """
    check_policy(spec)
    if spec == "expert":
        from medcopilot.policies.expert import ExpertPolicy

        return ExpertPolicy(seed=seed, detours=detours)
    if spec.startswith("openai:"):
        from medcopilot.policies.openai_api import OpenAIPolicy

        model, _, url = spec.removeprefix("openai:").partition("@")
        return OpenAIPolicy(base_url=url, model=model, licences=dict(licences or {}), **options)
    if spec.startswith("served:"):
        return _served(spec, dict(licences or {}), options)
    folder = Path(spec.removeprefix("vllm:"))
    if spec.startswith("vllm:"):
        from medcopilot.policies.vllm_offline import VllmPolicy

        return VllmPolicy.from_checkpoint(folder, **options)
    from medcopilot.policies.transformers_engine import TransformersPolicy

    return TransformersPolicy.from_checkpoint(folder, threads=threads, **options)


def _served(spec: str, licences: dict[str, str], options: dict[str, Any]) -> Policy:
    folder, _, urls = spec.removeprefix("served:").partition("@http")
    from pydantic import ValidationError

    from medcopilot.policies.server_settings import ServerSettings
    from medcopilot.policies.vllm_server import VllmServerPolicy

    try:
        settings = ServerSettings(urls=tuple(f"http{urls}".split(",")))
    except ValidationError as error:
        raise UserError(f"policy {spec!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return VllmServerPolicy.from_checkpoint(folder, settings, licences=licences, **options)
