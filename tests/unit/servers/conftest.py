"""Doubles of vLLM servers on real sockets, and a model that they can serve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from server_field import Field, OneNumber


@pytest.fixture
def field() -> Iterator[Field]:
    field = Field()
    yield field
    field.close()


@pytest.fixture
def model() -> OneNumber:
    return OneNumber()
