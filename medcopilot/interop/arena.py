"""What an Inspect task of ours plays on: the chosen tasks of one dataset, and the gym that they are played and graded in.

Promises: settings are plain values, so that an Inspect log holds them and a later process finds the same place again; the data-use
gate is asked before a row reaches an endpoint or an Inspect log; the sandbox starts with the first episode and ends with the
process.
Does not cover: Inspect itself (`tasks`, `solver`, `scorer`); nothing here imports it.
"""

from __future__ import annotations

import atexit
import threading
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from env.agreement import check
from env.datasets import BuildRequest, get_dataset
from env.datasets.base import data_root
from env.errors import UserError
from env.gym import Gym
from env.sandbox import Backend, open_backend
from env.task import Record, Slice, Split, Task
from medcopilot.rollout.settings import choose_tasks

IN_PROCESS = ("mockllm", "none", "hf", "nnterp", "transformer_lens")
"""Inspect's providers that compute in this very process; any other counts as elsewhere unless its address is loopback."""


class Settings(Record):
    """What `inspect eval -T name=value` can say; as the options of `medcopilot sample` where the names are the same."""

    dataset: str
    split: Split = "test"
    slices: tuple[Slice, ...] = ()
    limit: int | None = Field(None, ge=1)
    """So many tasks of the seeded order; None: all."""
    seed: int = 0
    profile: Literal["full", "nano"] = "full"
    protocol: Literal["submit", "paper"] = "submit"
    turns: int | None = Field(None, ge=1)
    without: tuple[Literal["request_info", "terminal", "code_execution", "debugging"], ...] = ()
    stateful: bool = False
    loop_guard: bool = False
    source: Path | None = None
    """Folder of the real source; None: the synthetic twin."""
    train: int | None = Field(None, ge=0)
    test: int | None = Field(None, ge=0)
    patients: int = Field(1000, ge=50)
    build_seed: int = 0
    options: dict[str, str] = Field(default_factory=dict)
    """Dataset-specific choices of the build."""
    sandbox: str = "auto"
    root: Path | None = None
    """Data folder; None: `MEDCOPILOT_DATA`, else ./data."""


def read_settings(dataset: str, given: dict[str, Any]) -> Settings:
    """Settings from values as a command line gives them: one word, or several with commas, where a list is meant.

    Raises:
        UserError: an unknown name, or a value that does not fit; the message names both.
    """
    values = {name: value for name, value in given.items() if value is not None}
    for name in ("slices", "without"):
        if isinstance(values.get(name), str):
            values[name] = tuple(values[name].split(","))
    if "options" in values:
        values["options"] = {str(name): str(value) for name, value in dict(values["options"]).items()}
    try:
        return Settings(dataset=dataset, **values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(f"-T {name}={given.get(name)}: {first['msg']}; docs/inspect.md lists what a task takes") from None


class Arena:
    """Tasks and gym of one set of settings. Get it from `open_arena`."""

    def __init__(self, settings: Settings, backend: Backend | None = None) -> None:
        """Build the dataset if it is not there. `backend`: a sandbox in place of the one that the settings name.

        Raises:
            UserError: no such dataset, or the choice leaves no task.
        """
        self.settings = settings
        request = BuildRequest(source=settings.source, seed=settings.build_seed, train=settings.train, test=settings.test,
                               patients=settings.patients, options=settings.options)
        self._built = get_dataset(settings.dataset).build(request, settings.root or data_root())
        self.tasks: list[Task] = choose_tasks(self._built, settings.split, settings.slices, settings.limit, settings.seed)
        if not self.tasks:
            raise UserError(f"{settings.dataset} has no task of split {settings.split} in slices "
                            f"{', '.join(settings.slices) or '(all)'}: choose others with -T split=... -T slices=...")
        self._by_id = {task.id: task for task in self.tasks}
        self._backend, self._gym, self._guard = backend, None, threading.Lock()

    def task(self, name: str) -> Task:
        """One of the chosen tasks by its id."""
        try:
            return self._by_id[name]
        except KeyError:
            raise UserError(f"task {name!r} is not among the {len(self.tasks)} of {self.settings.dataset} that these settings "
                            "choose: use the settings of the log that it comes from") from None

    def gym(self) -> Gym:
        """The gym; the first call starts the sandbox, so keep it out of an event loop."""
        with self._guard:
            if self._gym is None:
                if self._backend is None:
                    self._backend = open_backend(self.settings.sandbox)
                    atexit.register(self._backend.close)
                self._gym = Gym(self._backend, [self._built], protocol=self.settings.protocol, stateful=self.settings.stateful)
            return self._gym

    def check_model(self, provider: str, url: str | None) -> None:
        """Ask the gate whether these rows may go to a model.

        Raises:
            AgreementError: the model may be elsewhere, and the rows are under an agreement.
        """
        if provider not in IN_PROCESS:
            check("endpoint", self._tags(), url=url or "")

    def check_log(self) -> None:
        """Ask the gate whether these rows may be written into an Inspect log.

        Raises:
            AgreementError: the rows are under an agreement.
        """
        check("log_export", self._tags())

    def _tags(self) -> set[tuple[str, str]]:
        return {(task.dataset, task.licence) for task in self.tasks}


@cache
def _arena(text: str) -> Arena:
    return Arena(Settings.model_validate_json(text))


def open_arena(settings: Settings) -> Arena:
    """The arena of these settings; the same one for equal settings."""
    return _arena(settings.model_dump_json())


def labels(one: Any) -> dict[str, Any]:
    """What a task or a trace of ours says of itself that is no secret; `cluster` is the unit of Inspect's standard error."""
    names = ("dataset", "category", "template", "split", "slice", "cluster", "licence")
    return {name: getattr(one, name) for name in names}
