"""A server whose disk loses its power again and again keeps what it has acknowledged.

The root is on an ext4 or xfs image. In the middle of the load the file system is shut down without
a flush of its journal (FS_IOC_SHUTDOWN), the server is killed, and the image is mounted again: what
was never synced is gone.

The server is stopped (SIGSTOP) in the same breath, before the disk: a machine without power tells
nobody anything. Without that, 1 cut in 50 shows an acknowledged event missing, on both file systems
and with ten lines of Python in the server's place: a synced write that returns after the
shutdown may say that all is well. What the kernel was doing at that moment it goes on doing.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from tests.faults.volume import Kind, volume
from tests.torture.ordeal import Ordeal, ordeal
from tests.torture.test_sigkill import ROUNDS, report_of

CUTS: dict[Kind, int] = {"ext4": ROUNDS - ROUNDS // 2, "xfs": ROUNDS // 2}

pytestmark = [pytest.mark.torture, pytest.mark.root, pytest.mark.timeout(240 + 20 * ROUNDS)]


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_server_whose_power_is_cut_again_and_again_loses_nothing(
    kind: Kind, tmp_path: Path
) -> None:
    report = report_of(f"power-{kind}")

    async def main() -> None:
        async with ordeal(tmp_path, report, disk.path) as it:

            async def cut() -> None:
                it.server.signal(signal.SIGSTOP)
                disk.cut_power()
                await it.server.kill()
                await anyio.to_thread.run_sync(disk.restore_power)
                report.fault(f"power cut on {kind}")

            for _ in range(CUTS[kind]):
                began = anyio.current_time()
                await it.progress(1)
                await anyio.sleep(it.rng.uniform(0.0, 0.5))  # the moment of the fault
                await cut()
                if it.rng.random() < 0.1:
                    await _cut_while_starting(it, cut)
                await it.restart()
                report.cycle_s.append(anyio.current_time() - began)

    with volume(tmp_path / "disk", kind) as disk:
        anyio.run(main)
    print(report.as_markdown())


async def _cut_while_starting(it: Ordeal, cut: Callable[[], Awaitable[None]]) -> None:
    """Also in the middle of recovery."""
    usual_s = sorted(it.report.ready_s)[len(it.report.ready_s) // 2]
    it.server.start()
    await anyio.sleep(it.rng.uniform(0.3, 1.0) * usual_s)
    await cut()
