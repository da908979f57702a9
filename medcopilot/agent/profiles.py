"""How much an agent is told and allowed: the full profile for real models, the nano profile for a 2M-parameter one.

Promises: a profile changes prompt wording and tightens limits, never the task, its grader or what counts as correct.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

import jinja2

from env.errors import UserError
from env.task import Limits, TaskView

ProfileName = Literal["full", "nano"]

# Tightened limits; fields that are absent keep the task's own.
_LIMITS: dict[str, dict[str, Any]] = {
    "full": {},
    "nano": {"turns": 8, "exec_seconds": 10.0, "memory_mb": 1024, "observation_chars": 320, "turn_tokens": 224,
             "context_tokens": 448},
}


@cache
def _template(name: str) -> jinja2.Template:
    text = (files("medcopilot.agent") / "prompts" / name).read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=False, autoescape=False)
    return environment.from_string(text)


def limits_for(view: TaskView, profile: str) -> Limits:
    """The task's limits, tightened by the profile."""
    return _tightened(view.limits, profile) if _LIMITS.get(profile, True) else view.limits


@lru_cache(maxsize=256)
def _tightened(limits: Limits, profile: str) -> Limits:
    if profile not in _LIMITS:
        raise UserError(f"unknown profile {profile!r}: choose full or nano")
    own = limits.model_dump()
    return Limits(**{**own, **{name: min(own[name], value) for name, value in _LIMITS[profile].items()}})


def view_for(view: TaskView, profile: str, without: Iterable[str] = (), turns: int | None = None) -> TaskView:
    """The task as the agent gets it: the profile's limits and, in an ablation, fewer actions or turns.

    Args:
        without: actions that are neither told of nor carried out.
        turns: tightens the limit, never widens it.
    """
    limits = limits_for(view, profile)
    if turns is not None:
        limits = limits.model_copy(update={"turns": min(turns, limits.turns)})
    gone = set(without)
    if limits is view.limits and gone.isdisjoint(view.actions):
        return view
    return view.model_copy(update={"limits": limits, "actions": tuple(name for name in view.actions if name not in gone)})


def opening_messages(view: TaskView, profile: str) -> list[dict[str, str]]:
    """System and user message of an episode. A profile without system text has only the user message."""
    files = [f"/data/{file.name}" for file in view.data if file.kind != "fhir"]
    system = _system(profile, view.actions, view.answer_kind, view.limits, view.family,
                     any(file.kind == "sqlite" for file in view.data))
    user = _template(f"{profile}.user.jinja").render(description=view.description, files=files, context=view.context,
                                                     question=view.question).strip()
    messages = [{"role": "system", "content": system}] if system else []
    return [*messages, {"role": "user", "content": user}]


@lru_cache(maxsize=256)
def _system(profile: str, actions: tuple[str, ...], answer_kind: tuple[str, ...], limits: Limits, family: str, sql: bool) -> str:
    """The system text, which the tasks of a dataset share."""
    return _template(f"{profile}.system.jinja").render(actions=actions, answer_kind=answer_kind, limits=limits, family=family,
                                                       sql=sql).strip()
