"""Every core test runs on asyncio, asyncio with uvloop, and trio."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import settings

from eventspine.testing.virtual_time import backend_of
from tests.inner import PROFILE, is_inner, left_out

# A shell makes what it starts in the background deaf to this, and whoever is started from there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A limit in seconds fails on a busy machine and says nothing of the code.
settings.register_profile("house", deadline=None)
settings.register_profile(PROFILE, settings.get_profile("house"), max_examples=20)
settings.load_profile("house")


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The backend of a test; `virtual_time` in a test's module asks for the virtual ones."""
    return backend_of(request.param)


@pytest.hookimpl(trylast=True)  # what a marker leaves out is gone by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The longest first: begun at the end, one of them would keep all processors but one waiting.
    items.sort(key=lambda item: item.get_closest_marker("torture") is None)
    if is_inner():
        without = left_out(items)
        config.hook.pytest_deselected(items=[item for item in items if item in without])
        items[:] = [item for item in items if item not in without]
