"""Shared by all tests: what a marker needs, and which tests ran on real public data (for CI's summary)."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

# a busy machine is not a failure: examples have no deadline
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, with the reason; `fixtures` goes into the JUnit file as a property."""
    missing = {
        "fixtures": None if _fixtures() else "MEDCOPILOT_FIXTURES does not name a folder with the real public data",
        "vllm": None if importlib.util.find_spec("vllm") else "vllm is not installed (`make check` installs it on its own)",
        "gpu": None if Path("/dev/nvidiactl").exists() else "no GPU on this machine",
    }
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker) and reason:
                item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("fixtures"):
            item.user_properties.append(("fixtures", "1"))


def _fixtures() -> Path | None:
    value = os.environ.get("MEDCOPILOT_FIXTURES", "")
    return Path(value) if value and Path(value).is_dir() else None


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Folder of the real public data; only for tests marked `fixtures`."""
    folder = _fixtures()
    if folder is None:
        pytest.skip("MEDCOPILOT_FIXTURES does not name a folder with the real public data")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT
