"""A server of every kind of store, killed or without power again and again: nothing is lost.

The second half of a round's writes runs into the fault; after it every register of every kind holds
the last number acknowledged, or the one under way (registers.py).
"""

from __future__ import annotations

import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.faults.volume import Kind, volume
from tests.torture.registers import (
    History,
    MemoryEntry,
    Metric,
    Register,
    Seen,
    Spending,
    StoredObject,
    TableRow,
    UploadedObject,
    VectorPoint,
)
from tests.torture.report import Report
from tests.torture.server import Server
from tests.torture.test_sigkill import ROUNDS, SEED, report_of

KINDS: dict[str, Callable[[str], Register]] = {
    "tables": TableRow,
    "memory": MemoryEntry,
    "budget": Spending,
    "metrics": Metric,
    "objects": StoredObject,
    "uploads": UploadedObject,
    "vectors": VectorPoint,
    "analytics": Seen,
}
WORKERS = 3  # of each kind
KILLS = max(4, ROUNDS // 4)
CUTS: dict[Kind, int] = {"ext4": max(3, ROUNDS // 10), "xfs": max(2, ROUNDS // 20)}

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(240 + 20 * ROUNDS)]


def test_a_server_killed_again_and_again_loses_nothing_of_any_kind(tmp_path: Path) -> None:
    server, report = Server(tmp_path), report_of("kinds")

    async def kill() -> None:
        await server.kill()
        report.fault("SIGKILL under load")

    _tortured(server, report, kill, KILLS)


@pytest.mark.root
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_cuts_of_power_lose_nothing_of_any_kind(kind: Kind, tmp_path: Path) -> None:
    report = report_of(f"kinds-power-{kind}")
    with volume(tmp_path / "disk", kind) as disk:
        server = Server(tmp_path, disk.path)

        async def cut() -> None:
            server.signal(signal.SIGSTOP)  # a machine without power tells nobody anything
            disk.cut_power()
            await server.kill()
            await anyio.to_thread.run_sync(disk.restore_power)
            report.fault(f"power cut on {kind}")

        _tortured(server, report, cut, CUTS[kind])


def _tortured(
    server: Server, report: Report, fault: Callable[[], Awaitable[None]], rounds: int
) -> None:
    server.init()
    try:
        anyio.run(_again_and_again, server, report, fault, rounds)
    finally:
        server.cleanup()
        report.write()
    print(report.as_markdown())


async def _again_and_again(
    server: Server, report: Report, fault: Callable[[], Awaitable[None]], rounds: int
) -> None:
    rng = random.Random(f"{report.name} {SEED}")
    histories = [History(make(f"w{n}")) for make in KINDS.values() for n in range(WORKERS)]
    report.data = f"{len(histories)} registers of {len(KINDS)} kinds of store"
    for turn in range(5 * rounds):
        if turn >= rounds and all(history.written for history in histories):
            break  # on a busy machine a worker may need more turns to get through once
        began = anyio.current_time()
        await _started(server, report, histories)
        async with (
            httpx.AsyncClient(base_url=server.url, timeout=20) as client,
            anyio.create_task_group() as tasks,
        ):
            for history in histories:
                tasks.start_soon(history.work, client)
            # the moment of the fault; in the turns more, one needs time for four requests
            await anyio.sleep(rng.uniform(0.05, 0.6 if turn < rounds else 4.0))
            await fault()
        report.cycle_s.append(anyio.current_time() - began)
    await _started(server, report, histories)
    written = [history.written for history in histories]
    assert min(written) > 0, f"seed {SEED}: a worker never got through: {written}"
    report.figures["writes acknowledged"] = sum(written)
    report.stop_s.append(await server.stop(20))
    report.done()


async def _started(server: Server, report: Report, histories: list[History]) -> None:
    """Start, and judge every register."""
    server.start()
    report.ready_s.append(await server.wait_ready())
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        try:
            for history in histories:
                await history.judge(client, SEED)
        except AssertionError:
            report.violations += 1
            raise
