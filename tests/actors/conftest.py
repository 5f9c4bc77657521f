from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventspine.services.spine import Spine
from eventspine.testing.virtual_time import backend_of
from tests.actors.faulty import Faults, open_faulty

OpenFaulty = Callable[..., AbstractAsyncContextManager[tuple[Spine, Faults]]]


@pytest.fixture(params=[pytest.param("asyncio", marks=pytest.mark.slow), "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """In the inner loop uvloop stands for asyncio: it is what is served."""
    return backend_of(request.param)


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenFaulty:
    """Opens spines over a faulty memory: `async with faulty(cells_max=4) as (spine, faults)`."""
    opened: OpenFaulty = partial(open_faulty, tmp_path, monkeypatch)
    return opened


@pytest.fixture
async def spine(faulty: OpenFaulty, anyio_backend: Any) -> AsyncIterator[Spine]:
    async with faulty() as (spine, _):
        yield spine
