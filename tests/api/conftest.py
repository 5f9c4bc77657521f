from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventspine.contracts.settings import HttpSettings, Settings
from tests.api.serving import Serve, Served, settings_of

WAYS = [("compiled", "short"), ("short",), ("ordinary",)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module with BOTH_WAYS = True runs with every way that appends have."""
    if getattr(metafunc.module, "BOTH_WAYS", False) and "served" in metafunc.fixturenames:
        metafunc.parametrize("served", WAYS, indirect=True, scope="module", ids=" ".join)


@pytest.fixture(scope="module")
def direct_delivery() -> bool:
    """How readers are served; test_tail_http.py overrides it with both ways."""
    return True


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, direct_delivery: bool
) -> Iterator[Served]:
    """One instance for the tests of a module; each uses its own streams."""
    way = getattr(request, "param", WAYS[0])
    http = HttpSettings(
        cors_origins=("https://app.example",),
        short_ways="short" in way,
        direct_delivery=direct_delivery,
    )
    settings = settings_of(
        http=http, native="compiled" in way, heartbeat_s=0.2, body_bytes_max=64 * 1024
    )
    with Served(tmp_path_factory.mktemp("root"), settings) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


@pytest.fixture
def serve(tmp_path: Path, direct_delivery: bool) -> Iterator[Serve]:
    """Servers with settings of their own: `serve(header_s_max=0.2)`."""
    with ExitStack() as stack:

        def start(settings: Settings | None = None, **limits: Any) -> Served:
            limits.setdefault("direct_delivery", direct_delivery)
            return stack.enter_context(Served(tmp_path, settings or settings_of(**limits)))

        yield start
