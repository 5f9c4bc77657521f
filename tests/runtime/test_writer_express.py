"""A writer with an express: what goes past the thread, in which order, and how all of it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from eventspine.contracts.errors import Draining, OutcomeUnknown, StoreFull, StoreUnavailable
from eventspine.runtime import writer as module
from eventspine.runtime.writer import Writer

pytestmark = pytest.mark.anyio


class Item:
    def __init__(self, name: object, told: list[tuple[object, Any]], size: int = 10) -> None:
        self.name, self.size = name, size
        self._told = told

    def settle(self, error: BaseException | None) -> None:
        self._told.append((self.name, None if error is None else type(error)))


class HandDevice:
    """Lands when the test says so."""

    def __init__(self) -> None:
        self.landed = False
        self._tell: Callable[[], object] = lambda: None

    def listen(self, tell: Callable[[], object], call: Callable[..., object]) -> None:
        self._tell = lambda: call(tell)

    def begin(self, fd: int, data: bytes, offset: int, seal_fd: int, seal: bytes) -> None: ...

    def finish(self) -> tuple[int, int]:
        return 0, 0

    def land(self) -> None:
        self.landed = True
        self._tell()

    def close(self) -> None: ...


class Hand:
    """An express that says what it was given."""

    def __init__(self) -> None:
        self.device = HandDevice()
        self.flying: list[Sequence[Item]] = []
        self.takes, self.error = True, False
        self.automatic = False  # what begins lands at once

    def begin(self, batch: Sequence[Item]) -> bool:
        assert not self.flying, "one at a time"
        if self.takes:
            self.flying.append(batch)
            if self.automatic:
                self.land()
        return self.takes

    def finish(self, batch: Sequence[Item]) -> None:
        self.device.landed = False
        assert self.flying.pop() is batch
        if self.error:
            raise OSError("the disk is gone")

    def land(self, *, error: bool = False) -> None:
        self.error = error
        self.device.land()


class World:
    def __init__(self) -> None:
        self.told: list[tuple[object, Any]] = []
        self.express = Hand()
        self.by_thread: list[list[object]] = []
        self.refuses = False
        self.forgotten = 0
        self.gate = threading.Event()
        self.gate.set()
        self.writer: Writer[Item] = Writer(
            self._commit,
            name="w",
            bytes_waiting_max=10_000_000,
            on_refused=self._forget,
            express=self.express,
        )

    def _commit(self, batch: Sequence[Item]) -> None:
        assert not self.express.flying, "the thread works while something flies"
        assert self.gate.wait(30)
        self.by_thread.append([item.name for item in batch])
        if self.refuses:
            raise StoreFull("no room")

    def _forget(self, error: BaseException) -> None:
        self.forgotten += 1
        self.refuses = False

    def submit(self, *names: object, size: int = 10) -> None:
        for name in names:
            self.writer.submit(Item(name, self.told, size))

    async def until(self, *names: object) -> list[Any]:
        with anyio.fail_after(30):
            while not {*names} <= {name for name, _ in self.told}:
                await anyio.lowlevel.checkpoint()
        return [name for name, error in self.told if error is None]


@pytest.fixture
async def world(anyio_backend: Any) -> Any:
    async with anyio.create_task_group() as tasks:
        world = World()
        await tasks.start(world.writer.run)
        yield world
        world.gate.set()
        world.express.automatic = True
        if world.express.flying:
            world.express.land()
        tasks.cancel_scope.cancel()


async def passes(count: int = 5) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


async def test_a_batch_goes_past_the_thread_and_what_comes_meanwhile_is_the_next(
    world: World,
) -> None:
    world.submit("a", "b")
    await passes()
    assert [[item.name for item in batch] for batch in world.express.flying] == [["a", "b"]]
    world.submit("c")
    await passes()
    assert world.told == []
    world.express.land()
    assert await world.until("a", "b") == ["a", "b"]
    await passes()
    world.express.land()
    assert await world.until("c") == ["a", "b", "c"]
    assert world.by_thread == []
    statistics = world.writer.statistics()
    assert (statistics.batches, statistics.items, statistics.bytes_waiting) == (2, 3, 0)


async def test_nothing_passes_what_the_thread_has(world: World) -> None:
    world.gate.clear()
    world.submit("big", size=module.EXPRESS_BYTES_MAX + 1)
    await passes()
    world.submit("small")
    await passes()
    assert not world.express.flying
    world.gate.set()
    assert await world.until("big", "small") == ["big", "small"]
    assert [name for batch in world.by_thread for name in batch] == ["big", "small"]


async def test_what_the_express_does_not_take_goes_to_the_thread(world: World) -> None:
    world.express.takes = False
    world.submit("a")
    assert await world.until("a") == ["a"]
    assert world.by_thread == [["a"]]


async def test_many_are_sent_off_before_the_pass_is_over(world: World) -> None:
    many = module.EARLY_ITEMS
    world.submit(*range(many + 5))
    assert [len(batch) for batch in world.express.flying] == [many]
    world.express.land()
    world.submit(*range(1000, 1000 + many))  # it has landed: the next may go at once
    (batch,) = world.express.flying
    assert [item.name for item in batch] == [*range(many, many + 5), *range(1000, 995 + many)]
    assert world.told == [], "nothing is told in the middle of a submit"
    await passes()
    assert [name for name, _ in world.told] == list(range(many))
    world.express.automatic = True
    world.express.land()
    names = [*range(many + 5), *range(1000, 1000 + many)]
    assert await world.until(*names) == names


async def test_what_belongs_together_stays_together(world: World) -> None:
    world.submit(*range(module.EARLY_ITEMS - 1))
    items = [Item(name, world.told) for name in ("end", "begin")]
    assert world.writer.submit_together(items)
    await passes()
    (batch,) = world.express.flying
    assert list(batch)[-2:] == items


async def test_a_failure_is_final_and_what_waits_behind_it_never_ran() -> None:
    world, failures = World(), list[OSError]()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_run, world, failures)
        world.submit("a")
        await passes()
        world.submit("b")
        world.express.land(error=True)
        await world.until("a", "b")
    assert [str(error) for error in failures] == ["the disk is gone"]
    assert world.told == [("a", OutcomeUnknown), ("b", StoreUnavailable)]
    assert world.by_thread == []
    with pytest.raises(StoreUnavailable):
        world.submit("c")


async def _run(world: World, failures: list[OSError], *, task_status: Any) -> None:
    try:
        await world.writer.run(task_status=task_status)
    except OSError as error:
        failures.append(error)


async def test_a_failure_that_is_seen_early_is_told_too() -> None:
    world, failures = World(), list[OSError]()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_run, world, failures)
        world.submit(*range(module.EARLY_ITEMS))
        world.express.land(error=True)
        with pytest.raises(StoreUnavailable):
            world.submit(*range(1000, 1000 + 2 * module.EARLY_ITEMS))
        await world.until(0, 1000)
    assert [str(error) for error in failures] == ["the disk is gone"]
    assert {error for name, error in world.told if int(str(name)) < 1000} == {OutcomeUnknown}
    assert {error for name, error in world.told if int(str(name)) >= 1000} == {StoreUnavailable}


async def test_closing_waits_for_what_is_on_its_way_and_for_what_waits(world: World) -> None:
    world.submit("a")
    await passes()
    world.submit("b")
    world.writer.close()
    with pytest.raises(Draining):
        world.submit("c")
    await passes()
    assert world.told == []
    world.express.land()
    assert await world.until("a", "b") == ["a", "b"]
    assert world.by_thread == [["b"]]


async def test_who_waits_for_all_that_was_submitted_waits_for_what_flies(world: World) -> None:
    world.submit("a")
    await passes()
    world.submit("b")
    passed: list[Any] = []

    async def wait() -> None:
        await world.writer.passed()
        passed.extend(world.told)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await passes()
        assert passed == []
        world.express.land()
    assert [name for name, _ in passed] == ["a", "b"]


async def test_a_refusal_by_the_thread_holds_back_what_was_decided_on_it(world: World) -> None:
    world.express.takes, world.refuses = False, True
    world.submit("a")
    await world.until("a")
    assert (world.told, world.forgotten) == ([("a", StoreFull)], 1)
    world.express.takes = True
    world.submit("b")
    await passes()
    world.express.land()
    assert await world.until("b") == ["b"]
