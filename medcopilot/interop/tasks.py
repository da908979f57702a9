"""Every dataset as an Inspect task: `inspect eval medcopilot/mimic_iii -T limit=20 --model ...`.

Promises: Inspect finds these through the entry point `inspect_ai`; datasets of other packages and of the user's YAML files are
among them. A sample holds the opening messages that our own agent sees and labels for breakdowns; its target is empty: the key
stays with the graders, on the host.
Does not cover: playing and grading (`solver`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from inspect_ai import Task, task
from inspect_ai._util.error import PrerequisiteError  # the one that Inspect's command line shows as a sentence
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from rich.markup import escape

import env.task
from env.datasets.registry import dataset_names, other_names
from env.errors import UserError
from medcopilot.agent.profiles import opening_messages, view_for
from medcopilot.interop.arena import Settings, labels, open_arena, read_settings
from medcopilot.interop.model import chat_messages, check_model
from medcopilot.interop.solver import paper, play_episode, strict

VERSION = 1
FAILED_SHARE = 0.1
"""An evaluation of which more than this share of the samples failed by machinery is itself an error, unless the command says
otherwise (`--fail-on-error`)."""


def make_task(dataset: str, **given: Any) -> Task:
    """One dataset as a task for Inspect. `given`: see `medcopilot.interop.arena.Settings`.

    Raises:
        UserError: a setting that does not fit, or a dataset that cannot be built.
        AgreementError: rows under an agreement, and no permission for Inspect's log or for this model.
    """
    settings = read_settings(dataset, given)
    arena = open_arena(settings)
    arena.check_log()
    with contextlib.suppress(ValueError):  # no model is chosen yet: an episode asks again
        check_model(get_model(), arena)
    chosen = settings.model_dump(mode="json", exclude_defaults=True)
    samples = [_sample(one, settings) for one in arena.tasks]
    return Task(dataset=MemoryDataset(samples, name=dataset), solver=play_episode(**chosen),
                scorer=[strict(**chosen), paper(**chosen)], fail_on_error=FAILED_SHARE, version=VERSION,
                metadata={"protocol": settings.protocol, "profile": settings.profile, "split": settings.split})


def _sample(one: env.task.Task, settings: Settings) -> Sample:
    view = view_for(one.view, settings.profile, settings.without, settings.turns)
    return Sample(id=one.id, input=chat_messages(opening_messages(view, settings.profile), one.id), metadata=labels(one))


def _register(dataset: str) -> Callable[..., Task]:
    @task(name=dataset)
    def dataset_task(split: str | None = None, slices: str | list[str] | None = None, limit: int | None = None,
                     seed: int | None = None, profile: str | None = None, protocol: str | None = None, turns: int | None = None,
                     without: str | list[str] | None = None, stateful: bool | None = None, loop_guard: bool | None = None,
                     source: str | None = None, train: int | None = None, test: int | None = None, patients: int | None = None,
                     build_seed: int | None = None, options: dict[str, str] | None = None, sandbox: str | None = None,
                     root: str | None = None) -> Task:
        try:
            return make_task(dataset, split=split, slices=slices, limit=limit, seed=seed, profile=profile, protocol=protocol,
                             turns=turns, without=without, stateful=stateful, loop_guard=loop_guard, source=source, train=train,
                             test=test, patients=patients, build_seed=build_seed, options=options, sandbox=sandbox, root=root)
        except UserError as error:
            raise PrerequisiteError(escape(f"medcopilot: {error}")) from None

    return dataset_task


TASKS = {name: _register(name) for name in (*dataset_names(), *other_names())}
