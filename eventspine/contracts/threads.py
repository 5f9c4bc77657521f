"""Where work that blocks runs beside the loop, and what it waits on: real threads.

One object, handed down from where a root is opened to all who need a thread: the writer, the
flusher, reads, the putting away of ids. A simulation hands in its own, which runs one of its
threads at a time and chooses which, so that the same code meets the same fate for the same seed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

from eventspine.contracts.express import Device

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Thread(Protocol):
    """`threading.Thread`, as far as it is used."""

    def start(self) -> None: ...
    def join(self) -> None: ...
    def is_alive(self) -> bool: ...


class Event(Protocol):
    """`threading.Event`, as far as it is used."""

    def set(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Condition(Protocol):
    """`threading.Condition`, as far as it is used."""

    def __enter__(self) -> bool: ...
    def __exit__(self, *_: Any) -> None: ...
    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool: ...
    def notify_all(self) -> None: ...


class Queue(Protocol[T]):
    """`queue.SimpleQueue`, as far as it is used. `get(False)` raises `queue.Empty`."""

    def put(self, item: T) -> None: ...
    def get(self, block: bool = True) -> T: ...


class Threads:
    """Real threads. Daemons: a process that ends does not wait for them."""

    def thread(self, work: Callable[[], object], name: str) -> Thread:
        """A thread that runs `work` once it is started."""
        return threading.Thread(target=work, name=name, daemon=True)

    def now(self) -> float:
        """A clock in seconds, for what a thread's work took."""
        return time.monotonic()

    def event(self) -> Event:
        return threading.Event()

    def condition(self) -> Condition:
        return threading.Condition()

    def queue(self) -> Queue[Any]:
        return SimpleQueue()

    def device(self, write_sealed: Callable[[int, bytes, int, int, bytes], int]) -> Device | None:
        """What an express writes with, if these threads have one; else it is the backend's."""
        return None

    def executor(self, name: str) -> Executor:
        """One thread that does what it is given, in that order."""
        return ThreadPoolExecutor(1, thread_name_prefix=name)

    def run_sync(
        self,
        work: Callable[[*Ts], T],
        *args: *Ts,
        limiter: anyio.CapacityLimiter | None = None,
    ) -> Awaitable[T]:
        """Run `work(*args)` on a thread and wait for it, cancelled or not."""
        return anyio.to_thread.run_sync(work, *args, limiter=limiter)


THREADS = Threads()
