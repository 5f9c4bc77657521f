from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from eventspine import native
from tests.native.standing import Standing


@pytest.fixture(scope="session")
def core() -> Any:
    """The compiled module; without a C compiler there is none, and nothing to test."""
    if native.core is None:
        pytest.skip("eventspine/native was not compiled: no cc, or no Python.h")
    return native.core


@pytest.fixture
def standing(core: Any) -> Iterator[Standing]:
    """A stream that stands still: what is appended waits until the test takes it."""
    found = Standing()
    yield found
    found.close()
