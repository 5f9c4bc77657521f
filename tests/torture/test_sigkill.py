"""A server that is killed, paused and stopped again and again keeps every promise.

25 rounds unless $EVENTSPINE_TORTURE_ROUNDS says otherwise; $EVENTSPINE_TORTURE_SEED repeats the
faults of a run (their order and moments; which request is in flight then is up to the machine).
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from pathlib import Path

import anyio
import pytest

from tests.torture.ordeal import Ordeal, ordeal
from tests.torture.report import Report

ROUNDS = int(os.environ.get("EVENTSPINE_TORTURE_ROUNDS", "25"))
SEED = int(os.environ.get("EVENTSPINE_TORTURE_SEED") or time.time_ns() % 1_000_000_007)
STOP_S_MAX = 10.0

pytestmark = [pytest.mark.torture, pytest.mark.timeout(240 + 20 * ROUNDS)]


@pytest.fixture(autouse=True)
def _patience() -> None:
    """These take longer than the time after which pytest shows what every thread is doing."""
    faulthandler.cancel_dump_traceback_later()


def report_of(name: str) -> Report:
    print(f"\nseed {SEED}: EVENTSPINE_TORTURE_SEED={SEED} repeats these faults")
    return Report(name, SEED)


def test_a_server_killed_again_and_again_loses_doubles_and_reorders_nothing(tmp_path: Path) -> None:
    report = report_of("sigkill")

    async def main() -> None:
        async with ordeal(tmp_path, report) as it:
            for _ in range(ROUNDS):
                began = anyio.current_time()
                await it.progress(1)
                await anyio.sleep(it.rng.uniform(0.0, 0.5))  # the moment of the fault
                await it.server.kill()
                report.fault("SIGKILL under load")
                if it.rng.random() < 0.1:
                    await _kill_while_starting(it)
                await it.restart()
                report.cycle_s.append(anyio.current_time() - began)

    anyio.run(main)
    print(report.as_markdown())


async def _kill_while_starting(it: Ordeal) -> None:
    """Also in the middle of recovery."""
    usual_s = sorted(it.report.ready_s)[len(it.report.ready_s) // 2]
    it.server.start()
    await anyio.sleep(it.rng.uniform(0.3, 1.0) * usual_s)
    await it.server.kill()
    it.report.fault("SIGKILL while starting")


def test_a_server_that_stands_still_for_a_while_loses_nothing(tmp_path: Path) -> None:
    report = report_of("sigstop")

    async def main() -> None:
        async with ordeal(tmp_path, report) as it:
            for _ in range(max(3, ROUNDS // 5)):
                await it.progress(50)
                it.server.signal(signal.SIGSTOP)
                report.fault("SIGSTOP")
                await anyio.sleep(it.rng.uniform(0.05, 0.8))  # how long it stands still
                if it.rng.random() < 0.3:
                    await it.server.kill()
                    report.fault("SIGKILL while stopped")
                    await it.restart()
                else:
                    it.server.signal(signal.SIGCONT)
                    await it.progress(50)
                    await it.check_sample()

    anyio.run(main)
    print(report.as_markdown())


def test_a_graceful_stop_finishes_appends_and_tells_readers_to_come_back(tmp_path: Path) -> None:
    report = report_of("sigterm")

    async def main() -> None:
        async with ordeal(tmp_path, report) as it:
            for _ in range(max(2, ROUNDS // 10)):
                await it.progress(200)
                connected = [reader for reader in it.work.readers if reader.connected]
                told = {reader: len(reader.ends) for reader in connected}
                report.stop_s.append(await it.server.stop(within_s=STOP_S_MAX + 2))
                report.fault("SIGTERM under load")
                await _disconnected(it)
                for reader in connected:
                    said = reader.ends[told[reader] :]
                    assert said, f"{reader.name} was cut off without a word"
                    assert said[0]["reason"] in ("draining", "closed"), said
                    assert reader.retry_ms is not None, f"{reader.name} was told no retry"
                await it.restart()

    anyio.run(main)
    print(report.as_markdown())
    assert max(report.stop_s) <= STOP_S_MAX


async def _disconnected(it: Ordeal) -> None:
    """Until every reader has taken in what the server said before it went."""
    with anyio.fail_after(10):
        while any(reader.connected for reader in it.work.readers):  # noqa: ASYNC110
            await anyio.sleep(0.01)
