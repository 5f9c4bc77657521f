"""Simulated threads do what real ones do, in an order that is the seed's."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import Empty

import pytest
import trio
import trio.testing

from eventspine.contracts.threads import Threads
from eventspine.testing.simulated_threads import SimulatedThreads


@asynccontextmanager
async def real() -> AsyncIterator[Threads]:
    yield Threads()


@asynccontextmanager
async def simulated() -> AsyncIterator[Threads]:
    async with SimulatedThreads(random.Random(1)) as threads:
        yield threads


both = pytest.mark.parametrize("make", [real, simulated])


@both
def test_a_thread_works_with_queue_event_and_condition(make) -> None:
    got: list[int] = []

    async def main() -> None:
        async with make() as threads:
            queue, done, changed = threads.queue(), threads.event(), threads.condition()

            def consume() -> None:
                while (item := queue.get()) is not None:
                    with changed:
                        got.append(item)
                        changed.notify_all()
                done.set()

            def wait_for_three() -> bool:
                with changed:
                    return bool(changed.wait_for(lambda: len(got) == 3, 5))

            thread = threads.thread(consume, "consumer")
            assert not thread.is_alive()
            thread.start()
            for n in range(3):
                queue.put(n)
            assert await threads.run_sync(wait_for_three)
            queue.put(None)
            assert await threads.run_sync(done.wait, 5)
            await threads.run_sync(thread.join)
            assert not thread.is_alive()
            with pytest.raises(Empty):
                queue.get(False)

    trio.run(main)
    assert got == [0, 1, 2]


@both
def test_what_takes_too_long_is_waited_for_no_longer(make) -> None:
    async def main() -> None:
        async with make() as threads:
            event, changed = threads.event(), threads.condition()

            def in_vain() -> bool:
                with changed:
                    return bool(changed.wait_for(lambda: False, 0.001))

            assert not await threads.run_sync(event.wait, 0.001)
            assert not await threads.run_sync(in_vain)

    trio.run(main)


@both
def test_an_executor_does_one_thing_after_the_other_and_then_nothing(make) -> None:
    async def main() -> None:
        async with make() as threads:
            done: list[int] = []
            executor = threads.executor("x")
            futures = [executor.submit(done.append, n) for n in range(5)]
            failed = executor.submit(lambda: 1 // 0)
            await threads.run_sync(lambda: executor.shutdown(wait=True))
            assert all(future.done() for future in futures)
            assert isinstance(failed.exception(), ZeroDivisionError)
            assert done == [0, 1, 2, 3, 4]
            with pytest.raises(RuntimeError):
                executor.submit(done.append, 6)

    trio.run(main)


@both
def test_an_error_comes_back_to_who_waits(make) -> None:
    async def main() -> None:
        async with make() as threads:
            with pytest.raises(ZeroDivisionError):
                await threads.run_sync(lambda: 1 // 0)

    trio.run(main)


def test_pauses_interleave_and_take_virtual_time_only() -> None:
    order: list[str] = []

    async def main() -> None:
        async with SimulatedThreads(random.Random(2), pause_s_mean=100.0) as threads:

            def work(name: str) -> None:
                for _ in range(4):
                    order.append(name)
                    threads.pause()

            for name in "ab":
                threads.thread(lambda name=name: work(name), name).start()  # type: ignore[misc]
            threads.pause()  # on the loop: nothing

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(order) == list("aaaabbbb")
    assert order not in (list("aaaabbbb"), list("bbbbaaaa"))


def test_two_who_wait_for_a_condition_let_time_pass() -> None:
    """Letting go of it is no news: they would wake each other for ever, and no time would pass."""

    async def main() -> list[tuple[str, float]]:
        ended: list[tuple[str, float]] = []
        async with SimulatedThreads(random.Random(1)) as threads:
            condition = threads.condition()

            def wait(name: str, timeout_s: float) -> None:
                with condition:
                    assert not condition.wait_for(lambda: False, timeout_s)
                ended.append((name, round(threads.now(), 3)))

            threads.thread(lambda: wait("long", 30.0), "long").start()
            threads.thread(lambda: wait("short", 0.01), "short").start()
        return ended

    clock = trio.testing.MockClock(autojump_threshold=0)
    ended = trio.run(main, clock=clock)
    assert [name for name, _ in ended] == ["short", "long"]
    assert 0.01 <= ended[0][1] < 30.0 <= ended[1][1] < 60.0
