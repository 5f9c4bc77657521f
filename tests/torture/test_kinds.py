"""A server of every kind of store, killed again and again: no acknowledged write is lost in any."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from tests.torture.registers import (
    History,
    MemoryEntry,
    Metric,
    Register,
    Spending,
    StoredObject,
    TableRow,
    VectorPoint,
)
from tests.torture.server import Server
from tests.torture.test_sigkill import ROUNDS, SEED, report_of

KINDS: dict[str, Callable[[str], Register]] = {
    "tables": TableRow,
    "memory": MemoryEntry,
    "budget": Spending,
    "metrics": Metric,
    "objects": StoredObject,
    "vectors": VectorPoint,
}
WORKERS = 3  # of each kind

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_server_killed_again_and_again_loses_nothing_of_any_kind(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.init()
    try:
        anyio.run(_killed_again_and_again, server)
    finally:
        server.cleanup()


async def _killed_again_and_again(server: Server) -> None:
    rng = random.Random(f"kinds {SEED}")
    report = report_of("kinds")
    histories = [History(make(f"w{n}")) for make in KINDS.values() for n in range(WORKERS)]
    for _ in range(max(5, ROUNDS // 5)):
        server.start()
        report.ready_s.append(await server.wait_ready())
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            for history in histories:
                await history.judge(client, SEED)
            async with anyio.create_task_group() as tasks:
                for history in histories:
                    tasks.start_soon(history.work, client)
                await anyio.sleep(rng.uniform(0.05, 0.6))
                await server.kill()
        report.fault("SIGKILL under load")
    server.start()
    await server.wait_ready()
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        for history in histories:
            await history.judge(client, SEED)
    written = [history.acked for history in histories]
    assert min(written) > 0, f"seed {SEED}: a worker never got through"
    report.figures["writes acknowledged"] = sum(written)
    report.figures["registers"] = len(histories)
    await server.stop(20)
    report.done()
