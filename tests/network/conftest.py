from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.network.served import served
from tests.torture.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One process for the tests of a module; each uses its own streams."""
    with served(tmp_path_factory.mktemp("served"), heartbeat_s=0.5) as server:
        yield server
