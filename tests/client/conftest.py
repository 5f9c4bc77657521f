"""A served instance for the tests of the client: a real server in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.serving import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for the tests of a module; each uses its own streams."""
    with ServerProcess(tmp_path_factory.mktemp("root") / "var") as process:
        yield process
