"""The writer: one thread per open backend that makes everything waiting durable at once.

Job: group commit and the output gate. Callers submit items in the order they were decided; the
thread takes whatever is waiting, commits it in one go, and only then are the items settled on the
loop, all of one batch in one wake-up. Nothing is answered or shown before that.
Rules:
- First in, first out, across all keys. What one pass of the loop submits goes to the thread
  together, so the thread is woken once; more joins it while the previous batch is on its way to the
  disk. There is no delay to tune.
- A *refusal* (an EventspineError out of `commit`: nothing was written) fails that batch and,
  because later items build on it, everything behind it, until the loop has forgotten the state
  they were decided on (`on_refused`). Then the writer goes on.
- A *failure* (anything else) is final: the batch's outcome is unknown, what waits behind it never
  ran, and `run` raises. The backend has to be opened anew. A failed sync is never retried.
Refused: a one-tick delay before a commit (brought nothing), io_uring (within 10 %), syncing on the
loop (faster by 40 us, but one slow flush would stop every reader).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty
from typing import Generic, Protocol, TypeVar

from anyio import TASK_STATUS_IGNORED, CancelScope
from anyio.abc import TaskStatus

from eventspine.contracts.errors import (
    Draining,
    EventspineError,
    OutcomeUnknown,
    Overloaded,
    StoreUnavailable,
)
from eventspine.contracts.threads import THREADS, Queue, Threads
from eventspine.runtime.ticket import Ticket, loop_caller, soon_caller, ticket_factory

log = logging.getLogger(__name__)
BATCH_ITEMS_MAX = 8192


class Item(Protocol):
    """Something to commit. `settle` is called once, on the loop, when its fate is known."""

    size: int

    def settle(self, error: BaseException | None) -> None: ...


I = TypeVar("I", bound=Item)  # noqa: E741


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    batches: int
    items: int
    bytes: int
    bytes_waiting: int
    batch_items_max: int
    commit_s_total: float
    commit_s_max: float
    refusals: int
    failed: bool


def _settle_all(batch: Sequence[Item]) -> None:
    for item in batch:
        item.settle(None)


class _Stop:
    """Told to the thread: nothing comes after this."""


class _Resume:
    """Told to the thread: what comes after this was decided on fresh state."""


class Writer(Generic[I]):
    """Group commit of items through `commit`, a blocking function that only this thread calls."""

    def __init__(
        self,
        commit: Callable[[Sequence[I]], None],
        *,
        name: str,
        bytes_waiting_max: int,
        on_refused: Callable[[BaseException], None] = lambda error: None,
        threads: Threads = THREADS,
    ) -> None:
        self.name = name
        self._commit = commit
        self._bytes_waiting_max = bytes_waiting_max
        self._on_refused = on_refused
        self.settle_all: Callable[[Sequence[I]], object] = _settle_all
        self._threads = threads
        self._queue: Queue[list[I] | _Stop | _Resume] = threads.queue()
        self._outbox: list[I] = []
        self._soon = soon_caller()
        self._open = False
        self._has_ended = False
        self._closed_by: type[EventspineError] = StoreUnavailable
        self._bytes_waiting = 0
        self._ended: Ticket[None] | None = None
        self._call: Callable[..., object] = lambda *a: None
        self._batches = self._items = self._bytes = self._largest = self._refusals = 0
        self._commit_s = self._commit_s_max = 0.0
        self._failure: BaseException | None = None

    # --- on the loop ---

    def submit(self, item: I) -> None:
        """Queue an item behind everything submitted before it.

        Raises:
            Overloaded: more than `bytes_waiting_max` bytes wait already. Nothing was queued.
            StoreUnavailable, Draining: the writer does not run. Nothing was queued.
        """
        waiting = self._bytes_waiting + item.size
        if waiting > self._bytes_waiting_max and self._bytes_waiting:
            raise Overloaded(
                f"{self._bytes_waiting} bytes wait for {self.name}",
                limit="commit_bytes_waiting_max",
                maximum=self._bytes_waiting_max,
                retry_after_s=1,
            )
        if not self._open:
            raise self._closed_by(f"{self.name} takes no writes right now", retry_after_s=1)
        self._bytes_waiting = waiting
        self._outbox.append(item)
        if len(self._outbox) == 1:
            self._soon(self._hand_over)

    def submit_together(self, items: Sequence[I]) -> bool:
        """Queue items that go into one batch, or none of them: False when there is no room now."""
        size = sum([item.size for item in items])
        if not self._open or self._bytes_waiting + size > self._bytes_waiting_max:
            return False
        for item in items:  # of one pass of the loop, which stays together
            self.submit(item)
        return True

    def _hand_over(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox:
            self._queue.put(outbox)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """The service: commits until cancelled, then finishes what was submitted.

        Raises whatever `commit` failed with; the supervisor opens the backend anew.
        """
        self._call = loop_caller()
        ended: Ticket[None] = ticket_factory()()
        self._ended = ended
        self._threads.thread(self._serve, f"writer {self.name}").start()
        self._open = True
        task_status.started()
        try:
            await ended
        except BaseException:
            if self._failure is None:
                await self._drain()
            raise
        finally:
            self._open = False
        if self._failure is not None:
            raise self._failure

    def close(self, by: type[EventspineError] = Draining) -> None:
        """Take nothing more; what was submitted is still committed. Idempotent."""
        if self._open:
            self._open = False
            self._closed_by = by
            self._hand_over()
            self._queue.put(_Stop())

    async def _drain(self) -> None:
        self.close()
        with CancelScope(shield=True):
            if not self._has_ended:
                ended: Ticket[None] = ticket_factory()()
                self._ended = ended
                await ended

    def _settle(self, batch: Sequence[I], error: BaseException | None) -> None:
        self._bytes_waiting -= sum([item.size for item in batch])
        if error is None:
            self.settle_all(batch)
        else:
            for item in batch:
                item.settle(error)

    def _refuse(self, batch: Sequence[I], error: BaseException, first: bool) -> None:
        self._settle(batch, error)
        if first:
            self._refusals += 1
            self._on_refused(error)
            self._hand_over()
            self._queue.put(_Resume())

    def _end(self) -> None:
        self._open = False
        self._has_ended = True
        self._hand_over()
        behind = StoreUnavailable(f"{self.name} ended before this was written", retry_after_s=1)
        self._settle(self._rest(), behind)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    # --- on the thread ---

    def _serve(self) -> None:
        refused: BaseException | None = None
        stopped = False
        while not stopped:
            batch, stopped, resumed = self._take()
            if refused is not None:
                if batch:
                    self._call(self._refuse, batch, refused, False)
                refused = None if resumed else refused
            elif batch:
                refused = self._commit_one(batch)
                if self._failure is not None:
                    break
        self._call(self._end)

    def _take(self) -> tuple[list[I], bool, bool]:
        """Everything waiting up to a stop or a resume: (items, stopped, resumed)."""
        batch: list[I] = []
        get = self._queue.get
        item = get()
        try:
            while True:
                if isinstance(item, _Stop):
                    return batch, True, False
                if isinstance(item, _Resume):
                    return batch, False, True
                batch += item
                if len(batch) >= BATCH_ITEMS_MAX:
                    break
                item = get(False)
        except Empty:
            pass
        return batch, False, False

    def _commit_one(self, batch: list[I]) -> BaseException | None:
        """Commit a batch and settle it. Answers the refusal, if it was refused."""
        started = time.perf_counter()
        try:
            self._commit(batch)
        except EventspineError as error:
            self._call(self._refuse, batch, error, True)
            return error
        except BaseException as error:
            log.exception("%s: a commit failed", self.name)
            self._failure = error
            unknown = OutcomeUnknown(f"{self.name} failed while writing: {error}", retry_after_s=1)
            unknown.__cause__ = error
            self._call(self._settle, batch, unknown)
            return None
        took = time.perf_counter() - started
        self._batches += 1
        self._items += len(batch)
        self._bytes += sum([item.size for item in batch])
        self._largest = max(self._largest, len(batch))
        self._commit_s += took
        self._commit_s_max = max(self._commit_s_max, took)
        self._call(self._settle, batch, None)
        return None

    def _rest(self) -> list[I]:
        rest: list[I] = []
        try:
            while True:
                item = self._queue.get(False)
                if isinstance(item, list):
                    rest += item
        except Empty:
            return rest

    def statistics(self) -> WriterStatistics:
        return WriterStatistics(
            batches=self._batches,
            items=self._items,
            bytes=self._bytes,
            bytes_waiting=self._bytes_waiting,
            batch_items_max=self._largest,
            commit_s_total=self._commit_s,
            commit_s_max=self._commit_s_max,
            refusals=self._refusals,
            failed=self._failure is not None,
        )
