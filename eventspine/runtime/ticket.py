"""A ticket: one caller waits, somebody on the same loop settles it. The cheapest wait there is.

On asyncio (and uvloop) a ticket is the loop's own Future; on trio it is a parked task. Both are
awaited directly and settled with `set_result` or `set_exception` on the loop's thread.
Refused: anyio.Event, which costs 30 to 45 % of a commit's rate (an Event, a list and a scope each).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, Protocol, TypeVar

import sniffio

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Ticket(Protocol[T]):
    """Waited for by exactly one task. Settle it once, and only while `done()` is False."""

    def __await__(self) -> Generator[Any, Any, T]: ...
    def done(self) -> bool: ...
    def set_result(self, value: T, /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


class _TrioTicket(Generic[T]):
    __slots__ = ("_error", "_settled", "_task", "_value")

    def __init__(self) -> None:
        self._settled = False
        self._task: Any = None
        self._value: T | None = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return self._settled

    def set_result(self, value: T, /) -> None:
        self._value = value
        self._wake()

    def set_exception(self, error: BaseException, /) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        from trio.lowlevel import reschedule

        self._settled = True
        if self._task is not None:
            task, self._task = self._task, None
            reschedule(task)

    def __await__(self) -> Generator[Any, Any, T]:
        from trio.lowlevel import Abort, current_task, wait_task_rescheduled

        def abort(_: object) -> Abort:
            self._task = None
            self._settled = True  # nobody waits any more: as a cancelled Future is done
            return Abort.SUCCEEDED

        if not self._settled:
            self._task = current_task()
            yield from wait_task_rescheduled(abort).__await__()  # noqa: ASYNC105 - it is awaited here
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


def ticket_factory() -> Callable[[], Ticket[Any]]:
    """What makes tickets on the running loop. Call it once and keep the answer."""
    if sniffio.current_async_library() == "trio":
        return _TrioTicket
    import asyncio

    return asyncio.get_running_loop().create_future


def loop_caller() -> Callable[..., object]:
    """A function any thread may call with (function, *args): it runs soon on this loop."""
    if sniffio.current_async_library() == "trio":
        from trio.lowlevel import current_trio_token

        return current_trio_token().run_sync_soon
    import asyncio

    return asyncio.get_running_loop().call_soon_threadsafe


def reader_of(fd: int, function: Callable[[], object]) -> Callable[[], object] | None:
    """Have a function run on this loop whenever a descriptor is readable; answers what ends that.

    None on trio, where only a task can wait for a descriptor.
    """
    if sniffio.current_async_library() == "trio":
        return None
    import asyncio

    loop = asyncio.get_running_loop()
    loop.add_reader(fd, function)
    return lambda: loop.remove_reader(fd)


def soon_caller() -> Callable[[Callable[[], object]], object]:
    """A function that runs another one on this loop, after what is ready now. Same thread only."""
    if sniffio.current_async_library() == "trio":
        from trio.lowlevel import current_trio_token

        return current_trio_token().run_sync_soon
    import asyncio

    return asyncio.get_running_loop().call_soon


def later_caller() -> Callable[[float, Callable[[], object]], object]:
    """A function that runs another one on this loop some seconds later; 0: after what is ready.

    Same thread only. trio has no timers outside of tasks: there it is as if 0 were asked for.
    """
    if sniffio.current_async_library() == "trio":
        from trio.lowlevel import current_trio_token

        run_soon = current_trio_token().run_sync_soon
        return lambda _, function: run_soon(function)
    import asyncio

    return asyncio.get_running_loop().call_later
