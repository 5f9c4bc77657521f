"""Threads of which one runs at a time, and the loop's seed decides which: for a simulation on trio.

Job: run code that blocks (a writer, a flusher, a read) without change and the same way for the same
seed, interleaved with the loop and with each other wherever it blocks or touches the disk.
How: each is a thread of the operating system that holds the baton or waits for it. A task on the
loop carries it: hands it the baton and stands still until it comes back with what the thread wants
to wait for (time, an event, a queue), awaits that in virtual time, and hands the baton over again.
So the order of everything is the order of trio's tasks, which is seeded.
Refused: greenlets (a package with compiled code, only for this), generators (other code than the
product's), one thread's work in one piece (what races, races between two disk operations).
"""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from queue import Empty
from typing import Any, Generic, TypeVar, TypeVarTuple

import anyio
import trio

from eventspine.contracts.express import Device
from eventspine.contracts.threads import Threads
from eventspine.testing.simulated_device import SimulatedDevice

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Wish = Callable[[], Awaitable[object]]


class _Baton:
    """One thread of the operating system, used for one piece of work after another."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._work: Callable[[], None] = lambda: None
        self.wish: Wish | None = None
        threading.Thread(target=self._run, name="simulated", daemon=True).start()

    def give(self, work: Callable[[], None]) -> None:
        self._work = work

    def step(self) -> Wish | None:
        """Let the thread run until it wishes to wait; None when its work is done."""
        self.wish = None
        self._go.release()
        self._back.acquire()
        return self.wish

    def wait(self, wish: Wish) -> None:
        """On the thread: give the baton back until the wish is fulfilled."""
        self.wish = wish
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        while True:
            self._go.acquire()
            self._work()
            _spare.append(self)
            self._back.release()


_spare: list[_Baton] = []


class SimulatedThreads(Threads):
    """Use it as `async with SimulatedThreads(rng) as threads`, inside a trio run.

    The block ends when every thread has ended.

    Args:
        rng: of the time that operations take.
        after_step: called on the loop each time a thread has run a little.
        pause_s_mean: what a pause takes on average, in virtual seconds.
        pauses: share of the pauses that are made; changing threads is what costs real time.
        sleep: how to wait so many seconds on the loop; nothing cancels it.

    Attributes:
        failures: what ended a thread that nobody waits for.
        steps: how often a thread was let run.
        now_s: the time on the loop, for who runs on a thread.
    """

    def __init__(
        self,
        rng: random.Random,
        after_step: Callable[[], None] = lambda: None,
        pause_s_mean: float = 0.0005,
        pauses: float = 1.0,
        sleep: Callable[[float], Awaitable[object]] = trio.sleep,
    ) -> None:
        self.failures: list[BaseException] = []
        self.steps = 0
        self.now_s = 0.0
        self._rng = rng
        self._after_step = after_step
        self._pause_s_mean = pause_s_mean
        self._pauses = pauses
        self._sleep = sleep
        self._current: _Baton | None = None
        self._later: list[Callable[[], object]] = []
        self._nursery: trio.Nursery

    async def __aenter__(self) -> SimulatedThreads:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._manager.__aexit__(*error)

    def device(self, write_sealed: Callable[[int, bytes, int, int, bytes], int]) -> Device:
        return SimulatedDevice(self, write_sealed)

    # --- running ---

    async def carry(self, work: Callable[[], None]) -> None:
        """Run `work` to its end, cancelled or not."""
        baton = _spare.pop() if _spare else _Baton()
        baton.give(work)
        with trio.CancelScope(shield=True):
            while True:
                self._current, self.now_s = baton, trio.current_time()
                wish = baton.step()
                self._current = None
                self.steps += 1
                later, self._later = self._later, []
                for call in later:
                    call()
                self._after_step()
                if wish is None:
                    return
                await wish()

    def pause(self) -> None:
        """On a thread: let others run for a while. On the loop: nothing."""
        if self._current is not None and self._rng.random() < self._pauses:
            self._current.wait(self._a_while)

    def _a_while(self) -> Awaitable[object]:
        return self._sleep(self._rng.expovariate(1 / self._pause_s_mean))

    def wait(self, wish: Wish) -> None:
        """On a thread: until `wish` has been awaited on the loop."""
        assert self._current is not None, "the loop itself would block"
        self._current.wait(wish)

    def on_loop(self, call: Callable[[], object]) -> None:
        """Call it on the loop: now, or when the running thread pauses."""
        if self._current is None:
            call()
        else:
            self._later.append(call)

    # --- what the product asks for ---

    def thread(self, work: Callable[[], object], name: str) -> SimulatedThread:
        return SimulatedThread(self, work)

    def now(self) -> float:
        return self.now_s

    def event(self) -> SimulatedEvent:
        return SimulatedEvent(self)

    def condition(self) -> SimulatedCondition:
        return SimulatedCondition(self)

    def queue(self) -> SimulatedQueue[Any]:
        return SimulatedQueue(self)

    def executor(self, name: str) -> SimulatedExecutor:
        return SimulatedExecutor(self)

    async def run_sync(
        self,
        work: Callable[[*Ts], T],
        *args: *Ts,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        future: Future[T] = Future()
        if limiter is None:
            await self.carry(lambda: _settle(future, work, *args))
        else:
            async with limiter:
                await self.carry(lambda: _settle(future, work, *args))
        return future.result()

    def start_soon(self, work: Callable[[], None]) -> None:
        self.on_loop(lambda: self._nursery.start_soon(self.carry, work))


def _settle(future: Future[T], work: Callable[[*Ts], T], *args: *Ts) -> None:
    try:
        future.set_result(work(*args))
    except BaseException as error:
        future.set_exception(error)


class SimulatedEvent:
    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._set = False
        self._news = trio.Event()

    def set(self) -> None:
        self._set = True
        self._threads.on_loop(self._news.set)

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._threads.wait(lambda: self._wait(timeout))
        return self._set

    async def _wait(self, most_s: float | None) -> None:
        with trio.move_on_after(math.inf if most_s is None else max(most_s, 0.0)):
            await self._news.wait()


class SimulatedThread:
    def __init__(self, threads: SimulatedThreads, work: Callable[[], object]) -> None:
        self._threads = threads
        self._work = work
        self._ended = SimulatedEvent(threads)
        self._alive = False

    def start(self) -> None:
        self._alive = True
        self._threads.start_soon(self._run)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._threads.failures.append(error)
        self._alive = False
        self._ended.set()

    def join(self) -> None:
        self._ended.wait()

    def is_alive(self) -> bool:
        return self._alive


class SimulatedQueue(Generic[T]):
    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._items: deque[T] = deque()
        self._news = SimulatedEvent(threads)

    def put(self, item: T) -> None:
        self._items.append(item)
        self._news.set()

    def get(self, block: bool = True) -> T:
        while not self._items:
            if not block:
                raise Empty
            self._news = SimulatedEvent(self._threads)
            self._news.wait()
        return self._items.popleft()


class SimulatedCondition:
    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._held = False
        self._free = SimulatedEvent(threads)
        self._news = SimulatedEvent(threads)

    def __enter__(self) -> bool:
        while self._held:
            if self._free.is_set():
                self._free = SimulatedEvent(self._threads)
            self._free.wait()
        self._held = True
        return True

    def __exit__(self, *_: Any) -> None:
        self._held = False
        self._free.set()  # and no news: two who wait would wake each other for ever

    def _next(self, timeout: float | None) -> None:
        """Until somebody notifies."""
        if self._news.is_set():
            self._news = SimulatedEvent(self._threads)
        self._news.wait(timeout)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        until_s = self._threads.now_s + timeout if timeout is not None else math.inf
        while not predicate() and self._threads.now_s < until_s:
            self.__exit__()
            self._next(until_s - self._threads.now_s)
            self.__enter__()
        return predicate()

    def notify_all(self) -> None:
        self._news.set()


class SimulatedExecutor(Executor):
    """Does one thing after the other, each on a thread of its own."""

    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._waiting: deque[Callable[[], None]] = deque()
        self._idle = SimulatedEvent(threads)
        self._idle.set()
        self._shut = False

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: Future[T] = Future()
        self._waiting.append(lambda: _settle(future, lambda: work(*args, **kwargs)))
        if self._idle.is_set():
            self._idle = SimulatedEvent(self._threads)
            self._threads.start_soon(self._run)
        return future

    def _run(self) -> None:
        while self._waiting:
            self._waiting.popleft()()
        self._idle.set()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._shut = True
        if cancel_futures:
            self._waiting.clear()
        if wait:
            self._idle.wait()
