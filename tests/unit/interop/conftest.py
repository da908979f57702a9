"""A small twin, tasks played by Inspect's mock model in a fake sandbox, and what they came to."""

from __future__ import annotations

import os

import pytest

from env.errors import BoxDied
from env.sandbox.base import Execution

os.environ.setdefault("INSPECT_DISPLAY", "none")
SMALL = {"train": 4, "test": 6, "patients": 50}


class FakeBox:
    """Prints 42, or dies."""

    tier = "fake"

    def __init__(self, fails: bool) -> None:
        self.fails = fails

    def run(self, program, limits=None, *, want_value=False):
        if self.fails:
            raise BoxDied("the box vanished")
        return Execution(status="ok", exit_code=0, stdout="42\n")

    def close(self):
        pass


class FakeBackend:
    """Boxes that work, until `fails` is set."""

    name = tier = "fake"

    def __init__(self) -> None:
        self.fails = False

    def open(self, spec):
        return FakeBox(self.fails)

    def describe(self):
        return {"backend": "fake"}

    def close(self):
        pass


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def arena(data_folder, monkeypatch):
    """The arena that tasks of ours find, with a fake sandbox: `arena.backend`."""
    from medcopilot.interop import arena as module

    backend = FakeBackend()
    monkeypatch.setattr(module, "open_backend", lambda name: backend)
    module._arena.cache_clear()
    found = module.open_arena(module.read_settings("medcalcbench", {**SMALL, "root": str(data_folder)}))
    found.backend = backend
    yield found
    module._arena.cache_clear()
