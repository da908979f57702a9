"""Every test of a box runs on every backend; skipped, with the reason, where no sandbox works."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from env.errors import SandboxUnavailable
from env.sandbox import open_backend
from env.sandbox.backend import WorkerBackend
from env.sandbox.bare import BareBackend
from env.sandbox.base import BoxSpec, Mount
from env.sandbox.box import WorkerBox
from env.task import Limits

SECRET = "5ca1ab1e-supervisor-secret"
QUICK = Limits(exec_seconds=10.0, memory_mb=256, processes=24, file_mb=16, output_bytes=4000)


@pytest.fixture(scope="session", autouse=True)
def secret_environment() -> Iterator[None]:
    os.environ["API_KEY_CANARY"] = SECRET
    yield
    del os.environ["API_KEY_CANARY"]


DOCKER = [pytest.param(name, marks=pytest.mark.slow) for name in ("docker", "docker-strict")]


@pytest.fixture(scope="session", params=["zygote", "bwrap", *DOCKER])
def backend(request: pytest.FixtureRequest, secret_environment: None) -> Iterator[WorkerBackend]:
    try:
        made = open_backend(request.param)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    assert isinstance(made, WorkerBackend)
    yield made
    made.close()


@pytest.fixture(scope="session")
def bare(secret_environment: None) -> Iterator[BareBackend]:
    made = open_backend("bare", allow_unsafe=True)
    assert isinstance(made, BareBackend)
    yield made
    made.close()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    path = folder / "ehr.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (id integer, name text, x real)")
        connection.executemany("insert into t values (?, ?, ?)", [(1, "a", 0.1), (2, None, 37.0), (3, "c;d", 1 / 3)])
    connection.close()
    (folder / "keys.jsonl").write_text("c0ffee-key-canary")
    return path


@pytest.fixture
def box(backend: WorkerBackend, database: Path) -> Iterator[WorkerBox]:
    made = backend.open(BoxSpec(mounts=(Mount(name="ehr.sqlite", host=database),), limits=QUICK))
    yield made
    made.close()


@pytest.fixture
def bare_box(bare: BareBackend, database: Path) -> Iterator[WorkerBox]:
    made = bare.open(BoxSpec(mounts=(Mount(name="ehr.sqlite", host=database),), limits=QUICK))
    yield made
    made.close()
