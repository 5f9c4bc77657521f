from __future__ import annotations

from typing import Any

import pytest

from eventspine.testing.virtual_time import backend_of


@pytest.fixture(params=[pytest.param("asyncio", marks=pytest.mark.slow), "uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """In the inner loop uvloop stands for asyncio: it is what is served."""
    return backend_of(request.param)
