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
- After a *refusal* (nothing was written) everything behind it is refused, until the loop has
  forgotten the state it was decided on (`on_refused`). Then the writer goes on.
- A *failure* is final: `run` raises, and the backend has to be opened anew (commit_thread.py).
Refused: a one-tick delay before a commit (brought nothing), io_uring (within 10 %), syncing on the
loop (faster by 40 us, but one slow flush would stop every reader).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from anyio import TASK_STATUS_IGNORED, CancelScope
from anyio.abc import TaskStatus

from eventspine.contracts.errors import (
    Draining,
    EventspineError,
    Overloaded,
    StoreUnavailable,
)
from eventspine.contracts.express import Express
from eventspine.contracts.threads import THREADS, Threads
from eventspine.runtime.commit_count import CommitCount, WriterStatistics
from eventspine.runtime.commit_thread import CommitThread, Fate, I, Mark, Resume, Stop
from eventspine.runtime.express import Flights, Landed
from eventspine.runtime.ticket import Ticket, loop_caller, soon_caller, ticket_factory

EXPRESS_ITEMS_MAX = 512  # of a batch past the thread: encoding it is the loop's work
EXPRESS_BYTES_MAX = 256 * 1024
EARLY_ITEMS = 128  # so many are a batch before the pass of the loop is over; short_way.c knows it


def _settle_all(batch: Sequence[I]) -> None:
    for item in batch:
        item.settle(None)


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
        self._fate = Fate(name)
        self._count = CommitCount()
        self.thread = CommitThread(commit, self._fate, self._count, threads)
        self._express = express
        self._flights: Flights[I] | None = None
        self._landed: list[Landed[I]] = []  # to be settled
        self._behind: list[Stop | Mark] = []  # for the thread, after what is on the express
        self._queued = 0  # items that the thread has
        self._bytes_waiting_max = bytes_waiting_max
        self._on_refused = on_refused
        self.settle_all: Callable[[Sequence[I]], object] = _settle_all
        self._outbox: list[I] = []
        self._soon = soon_caller()
        self._open = False
        self._has_ended = False
        self._closed_by: type[EventspineError] = StoreUnavailable
        self._bytes_waiting = 0
        self._ended: Ticket[None] | None = None

    # --- what is submitted ---

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
        mark = Mark(ticket_factory()())
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
        if not batch or self._queued or self._fate.failure is not None:
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
            self.thread.put(outbox)

    def _put_behind(self, sign: Stop | Mark) -> None:
        """Tell the thread, after all that was submitted until now."""
        if self._landed or (self._flights is not None and self._flights.flying):
            self._behind.append(sign)
        else:
            self._queue_up()
            self.thread.put(sign)

    def _take_landed(self) -> None:
        landed = self._flights.take() if self._flights is not None else None
        if landed is None:
            return
        if not self._landed:
            self._soon(self._settle_landed)
        if landed.error is not None:
            landed = landed._replace(error=self._fate.failed(landed.error))
            self._open = False
        else:
            self._count.add(landed.batch, landed.took_s)
        self._landed.append(landed)

    def _settle_landed(self) -> None:
        """On the loop, by itself: settling may write to sockets, and run who waits."""
        self._take_landed()
        landed, self._landed = self._landed, []
        for batch, error, _ in landed:
            self._settle(batch, error)
        if self._fate.failure is not None:
            self._behind.append(Stop())
        elif self._flights is not None and self._flights.flying:
            return
        if not self._behind:
            self._hand_over()
            return
        self._queue_up()
        while self._behind:
            self.thread.put(self._behind.pop(0))

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """The service: commits until cancelled, then finishes what was submitted.

        Raises whatever `commit` failed with; the supervisor opens the backend anew.
        """
        ended: Ticket[None] = ticket_factory()()
        self._ended = ended
        self.thread.start(self.name, loop_caller(), self)
        if self._express is not None:
            flights = Flights(self._express, self._settle_landed)
            self._flights = flights if flights.usable else None
        self._open = True
        task_status.started()
        try:
            await ended
        except BaseException:
            if self._fate.failure is None:
                await self._drain()
            raise
        finally:
            self._open = False
        if self._fate.failure is not None:
            raise self._fate.failure

    def close(self, by: type[EventspineError] = Draining) -> None:
        """Take nothing more; what was submitted is still committed. Idempotent."""
        if self._open:
            self._open = False
            self._closed_by = by
            self._put_behind(Stop())

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

    # --- told by the thread ---

    def refuse(self, batch: Sequence[I], error: BaseException, first: bool) -> None:
        """A batch was refused; `first`: by the backend, not because of one before it."""
        self.settle_queued(batch, error)
        if first:
            self._count.refusals += 1
            self._on_refused(error)
            self._queue_up()
            self.thread.put(Resume())

    def settle_queued(self, batch: Sequence[I], error: BaseException | None) -> None:
        """A batch of the thread's has come to its end."""
        self._queued -= len(batch)
        self._settle(batch, error)

    def end(self) -> None:
        """The thread is over."""
        self._open = False
        self._has_ended = True
        if self._flights is not None:
            self._flights.end()
        self._queue_up()
        self._settle(self.thread.rest(), self._fate.ran_never())
        self.thread.pass_marks()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def statistics(self) -> WriterStatistics:
        return self._count.statistics(
            bytes_waiting=self._bytes_waiting, failed=self._fate.failure is not None
        )
