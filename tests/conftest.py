"""Every core test runs on asyncio, asyncio with uvloop, and trio."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

from eventspine.testing.virtual_time import backend_of

# A limit in seconds fails on a busy machine and says nothing of the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The backend of a test; `virtual_time` in a test's module asks for the virtual ones."""
    return backend_of(request.param)
