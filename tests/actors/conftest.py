from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventspine.services.spine import Spine
from tests.actors.faulty import Faults, open_faulty

OpenFaulty = Callable[..., AbstractAsyncContextManager[tuple[Spine, Faults]]]


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenFaulty:
    """Opens spines over a faulty memory: `async with faulty(cells_max=4) as (spine, faults)`."""
    opened: OpenFaulty = partial(open_faulty, tmp_path, monkeypatch)
    return opened


@pytest.fixture
async def spine(faulty: OpenFaulty, anyio_backend: Any) -> AsyncIterator[Spine]:
    async with faulty() as (spine, _):
        yield spine
