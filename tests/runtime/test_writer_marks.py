"""Writer.passed: until everything submitted before is settled, whatever becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from eventspine.contracts.errors import Overloaded, StoreFull
from eventspine.runtime.writer import Writer

pytestmark = pytest.mark.anyio


class Item:
    size = 10

    def __init__(self, settled: list[str], name: str) -> None:
        self._settled, self._name = settled, name

    def settle(self, error: BaseException | None) -> None:
        self._settled.append(self._name if error is None else f"{self._name} {error}")


class Commits:
    """What the thread does: each batch waits for the gate, and may be refused or fail."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None

    def __call__(self, batch: Sequence[Item]) -> None:
        assert self.gate.wait(10)
        error, self.error = self.error, None
        if error is not None:
            raise error


async def test_a_mark_is_passed_behind_what_was_submitted_before_it() -> None:
    commits, settled = Commits(), list[str]()
    writer = Writer[Item](commits, name="w", bytes_waiting_max=1000)
    async with anyio.create_task_group() as tasks:
        await tasks.start(writer.run)
        await writer.passed()
        commits.gate.clear()
        for name in "ab":
            writer.submit(Item(settled, name))

        async def wait() -> None:
            await writer.passed()
            settled.append("passed")

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        writer.submit(Item(settled, "behind"))
        assert settled == []
        commits.gate.set()
        while len(settled) < 4:
            await anyio.lowlevel.checkpoint()
        assert settled.index("passed") >= 2
        assert settled[:2] == ["a", "b"]
        tasks.cancel_scope.cancel()


async def test_a_refused_batch_is_settled_before_its_mark() -> None:
    commits, settled = Commits(), list[str]()
    writer = Writer[Item](commits, name="w", bytes_waiting_max=1000)
    async with anyio.create_task_group() as tasks:
        await tasks.start(writer.run)
        commits.error = StoreFull("full")
        writer.submit(Item(settled, "a"))
        await writer.passed()
        assert settled == ["a full"]
        writer.submit(Item(settled, "b"))
        await writer.passed()
        assert settled == ["a full", "b"]
        tasks.cancel_scope.cancel()


async def test_a_writer_that_failed_or_ended_holds_nobody_up() -> None:
    commits, settled = Commits(), list[str]()
    writer = Writer[Item](commits, name="w", bytes_waiting_max=1000)

    async def life() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(writer.run)
            commits.error = OSError("gone")
            writer.submit(Item(settled, "a"))
            with anyio.CancelScope(shield=True):
                await writer.passed()

    with pytest.raises(ExceptionGroup):
        await life()
    assert len(settled) == 1
    await writer.passed()


async def test_what_is_held_counts_as_waiting() -> None:
    commits, settled = Commits(), list[str]()
    writer = Writer[Item](commits, name="w", bytes_waiting_max=25)
    async with anyio.create_task_group() as tasks:
        await tasks.start(writer.run)
        writer.hold(20)
        with pytest.raises(Overloaded):
            writer.submit(Item(settled, "a"))
        writer.release(20)
        writer.submit(Item(settled, "a"))
        await writer.passed()
        assert settled == ["a"]
        assert writer.statistics().bytes_waiting == 0
        tasks.cancel_scope.cancel()
