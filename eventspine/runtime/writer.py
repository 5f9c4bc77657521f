"""The writer: one thread per open backend that makes everything waiting durable at once.

Job: group commit and the output gate. Callers submit items in the order they were decided; the
thread takes whatever is waiting, commits it in one go, and only then are the items settled on the
loop, all of one batch in one wake-up. Nothing is answered or shown before that.
Rules:
- First in, first out, across all keys. What one pass of the loop submits goes to the thread
  together, so the thread is woken once; more joins it while the previous batch is on its way to the
  disk. There is no delay to tune.
- With an express (contracts/express.py) a small batch is made durable beside the loop, past the
  thread, whenever nothing is on its way; what comes meanwhile is the next one. It is used only
  while the thread has nothing to do, and the thread only while nothing is on the express.
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
from eventspine.contracts.express import Express
from eventspine.contracts.threads import THREADS, Queue, Threads
from eventspine.runtime.express import Flights, Landed
from eventspine.runtime.ticket import Ticket, loop_caller, soon_caller, ticket_factory

log = logging.getLogger(__name__)
BATCH_ITEMS_MAX = 8192
EXPRESS_ITEMS_MAX = 512  # of a batch past the thread: encoding it is the loop's work
EXPRESS_BYTES_MAX = 256 * 1024
EARLY_ITEMS = 128  # so many are a batch before the pass of the loop is over; short_way.c knows it


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


class _Mark:
    """Told to the thread: somebody waits until everything before this is settled."""

    def __init__(self, ticket: Ticket[None]) -> None:
        self.ticket = ticket

    def passed(self) -> None:
        if not self.ticket.done():
            self.ticket.set_result(None)


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
        express: Express[I] | None = None,
    ) -> None:
        self.name = name
        self._express = express
        self._flights: Flights[I] | None = None
        self._landed: list[Landed[I]] = []  # to be settled
        self._behind: list[_Stop | _Mark] = []  # for the thread, after what is on the express
        self._queued = 0  # items that the thread has
        self._commit = commit
        self._bytes_waiting_max = bytes_waiting_max
        self._on_refused = on_refused
        self.settle_all: Callable[[Sequence[I]], object] = _settle_all
        self._threads = threads
        self._queue: Queue[list[I] | _Stop | _Resume | _Mark] = threads.queue()
        self._marks: list[_Mark] = []  # the thread's, passed with the batch it works on
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
        self._check_room(waiting)
        self._bytes_waiting = waiting
        self._outbox.append(item)
        if len(self._outbox) == 1:
            self._soon(self._hand_over)
        elif len(self._outbox) % EARLY_ITEMS == 0:
            self.early()

    def submit_all(self, items: Sequence[I]) -> None:
        """As `submit`, for items that go into one batch, in this order; all of them or none."""
        size = sum([item.size for item in items])
        self._check_room(self._bytes_waiting + size)
        if not self._outbox:
            self._soon(self._hand_over)
        self._outbox += items
        self._bytes_waiting += size
        if len(self._outbox) >= EARLY_ITEMS:
            self.early()

    def _check_room(self, waiting: int) -> None:
        if waiting > self._bytes_waiting_max and self._bytes_waiting:
            raise Overloaded(
                f"{self._bytes_waiting} bytes wait for {self.name}",
                limit="commit_bytes_waiting_max",
                maximum=self._bytes_waiting_max,
                retry_after_s=1,
            )
        if not self._open:
            raise self._closed_by(f"{self.name} takes no writes right now", retry_after_s=1)

    def submit_together(self, items: Sequence[I]) -> bool:
        """Queue items that go into one batch, or none of them: False when there is no room now."""
        size = sum([item.size for item in items])
        if not self._open or self._bytes_waiting + size > self._bytes_waiting_max:
            return False
        if not self._outbox:
            self._soon(self._hand_over)
        self._outbox += items
        self._bytes_waiting += size
        return True

    def hold(self, size: int) -> None:
        """Bytes that are durable and settled later, by somebody else: they count as waiting."""
        self._bytes_waiting += size

    def release(self, size: int) -> None:
        """They are settled."""
        self._bytes_waiting -= size

    async def passed(self) -> None:
        """Until everything submitted before this call is settled, one way or the other."""
        if self._has_ended:
            return
        mark = _Mark(ticket_factory()())
        self._put_behind(mark)
        await mark.ticket

    def early(self) -> None:
        """Send off what waits before the pass is over, if the express is free and would idle."""
        if self._flights is not None and not self._queued:
            self._take_landed()
            if not self._flights.flying:
                self._hand_over()

    def _hand_over(self) -> None:
        if self._flights is not None and (self._flights.flying or self._flies()):
            return
        self._queue_up()

    def _flies(self) -> bool:
        """Send the outbox off past the thread, if it is small and the thread has nothing."""
        batch = self._outbox
        if not batch or self._queued or self._failure is not None:
            return False
        assert self._flights is not None
        if len(batch) > EXPRESS_ITEMS_MAX or sum([i.size for i in batch]) > EXPRESS_BYTES_MAX:
            return False
        try:
            begun = self._flights.begin(batch)
        except Exception:  # whatever it is, the thread meets it again, and knows what to do then
            return False
        if begun:
            self._outbox = []
        return begun

    def _queue_up(self) -> None:
        outbox, self._outbox = self._outbox, []
        if outbox:
            self._queued += len(outbox)
            self._queue.put(outbox)

    def _put_behind(self, sign: _Stop | _Mark) -> None:
        """Tell the thread, after all that was submitted until now."""
        if self._landed or (self._flights is not None and self._flights.flying):
            self._behind.append(sign)
        else:
            self._queue_up()
            self._queue.put(sign)

    def _take_landed(self) -> None:
        landed = self._flights.take() if self._flights is not None else None
        if landed is None:
            return
        if not self._landed:
            self._soon(self._settle_landed)
        if landed.error is not None:
            landed = landed._replace(error=self._failed(landed.error))
            self._open = False
        else:
            self._count(landed.batch, landed.took_s)
        self._landed.append(landed)

    def _settle_landed(self) -> None:
        """On the loop, by itself: settling may write to sockets, and run who waits."""
        self._take_landed()
        landed, self._landed = self._landed, []
        for batch, error, _ in landed:
            self._settle(batch, error)
        if self._failure is not None:
            self._behind.append(_Stop())
        elif self._flights is not None and self._flights.flying:
            return
        if not self._behind:
            self._hand_over()
            return
        self._queue_up()
        while self._behind:
            self._queue.put(self._behind.pop(0))

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """The service: commits until cancelled, then finishes what was submitted.

        Raises whatever `commit` failed with; the supervisor opens the backend anew.
        """
        self._call = loop_caller()
        ended: Ticket[None] = ticket_factory()()
        self._ended = ended
        self._threads.thread(self._serve, f"writer {self.name}").start()
        if self._express is not None:
            flights = Flights(self._express, self._settle_landed)
            self._flights = flights if flights.usable else None
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
            self._put_behind(_Stop())

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
        self._settle_queued(batch, error)
        if first:
            self._refusals += 1
            self._on_refused(error)
            self._queue_up()
            self._queue.put(_Resume())

    def _settle_queued(self, batch: Sequence[I], error: BaseException | None) -> None:
        self._queued -= len(batch)
        self._settle(batch, error)

    def _end(self) -> None:
        self._open = False
        self._has_ended = True
        if self._flights is not None:
            self._flights.end()
        self._queue_up()
        self._settle(self._rest(), self._ran_never())
        for mark in self._marks:
            mark.passed()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    # --- on the thread ---

    def _serve(self) -> None:
        refused: BaseException | None = None
        stopped = False
        while not stopped:
            batch, stopped, resumed = self._take()
            if self._is_over():  # on the express: nothing is written any more
                self._call(self._settle_queued, batch, self._ran_never())
            elif refused is not None:
                if batch:
                    self._call(self._refuse, batch, refused, False)
                refused = None if resumed else refused
            elif batch:
                refused = self._commit_one(batch)
                if self._is_over():
                    break
            self._pass_marks()
        self._call(self._end)

    def _pass_marks(self) -> None:
        marks, self._marks = self._marks, []
        for mark in marks:
            self._call(mark.passed)

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
                if isinstance(item, _Mark):
                    self._marks.append(item)
                    if not batch:
                        break
                else:
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
            self._call(self._settle_queued, batch, self._failed(error))
            return None
        self._count(batch, time.perf_counter() - started)
        self._call(self._settle_queued, batch, None)
        return None

    def _failed(self, error: BaseException) -> OutcomeUnknown:
        """This is the end. Answers what whoever waits for the batch is told."""
        log.error("%s: a commit failed", self.name, exc_info=error)
        self._failure = error
        unknown = OutcomeUnknown(f"{self.name} failed while writing: {error}", retry_after_s=1)
        unknown.__cause__ = error
        return unknown

    def _is_over(self) -> bool:
        return self._failure is not None

    def _ran_never(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self.name} ended before this was written", retry_after_s=1)

    def _count(self, batch: Sequence[I], took_s: float) -> None:
        self._batches += 1
        self._items += len(batch)
        self._bytes += sum([item.size for item in batch])
        self._largest = max(self._largest, len(batch))
        self._commit_s += took_s
        self._commit_s_max = max(self._commit_s_max, took_s)

    def _rest(self) -> list[I]:
        rest: list[I] = []
        try:
            while True:
                item = self._queue.get(False)
                if isinstance(item, list):
                    rest += item
                elif isinstance(item, _Mark):
                    self._marks.append(item)
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
