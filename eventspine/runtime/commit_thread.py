"""The thread of a writer: it commits whatever is waiting in one go, and has it settled on the loop.

Rules:
- A *refusal* (an EventspineError out of `commit`: nothing was written) fails that batch and,
  because later items build on it, everything behind it, until it is told to go on: the loop has
  forgotten the state they were decided on.
- A *failure* (anything else) is final: the batch's outcome is unknown, what waits behind it never
  ran. A failed sync is never retried.
Which batches come here and which go past it is writer.py's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from queue import Empty
from typing import Generic, Protocol, TypeVar

from eventspine.contracts.errors import EventspineError, OutcomeUnknown, StoreUnavailable
from eventspine.contracts.threads import Queue, Threads
from eventspine.runtime.commit_count import CommitCount
from eventspine.runtime.ticket import Ticket

log = logging.getLogger(__name__)
BATCH_ITEMS_MAX = 8192


class Item(Protocol):
    """Something to commit. `settle` is called once, on the loop, when its fate is known."""

    size: int

    def settle(self, error: BaseException | None) -> None: ...


I = TypeVar("I", bound=Item)  # noqa: E741
I_contra = TypeVar("I_contra", bound=Item, contravariant=True)


class Stop:
    """Told to the thread: nothing comes after this."""


class Resume:
    """Told to the thread: what comes after this was decided on fresh state."""


class Mark:
    """Told to the thread: somebody waits until everything before this is settled."""

    def __init__(self, ticket: Ticket[None]) -> None:
        self.ticket = ticket

    def passed(self) -> None:
        if not self.ticket.done():
            self.ticket.set_result(None)


class Fate:
    """Whether the commits of a writer have failed, and what is told to who waits for one then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.failure: BaseException | None = None

    def failed(self, error: BaseException) -> OutcomeUnknown:
        """This is the end. Answers what whoever waits for the batch is told."""
        log.error("%s: a commit failed", self._name, exc_info=error)
        self.failure = error
        unknown = OutcomeUnknown(f"{self._name} failed while writing: {error}", retry_after_s=1)
        unknown.__cause__ = error
        return unknown

    def is_over(self) -> bool:
        return self.failure is not None

    def ran_never(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._name} ended before this was written", retry_after_s=1)


class OnTheLoop(Protocol[I_contra]):
    """Who has given the thread its batches; called on the loop."""

    def settle_queued(self, batch: Sequence[I_contra], error: BaseException | None) -> None: ...
    def refuse(self, batch: Sequence[I_contra], error: BaseException, first: bool) -> None: ...
    def end(self) -> None: ...


class CommitThread(Generic[I]):
    """Args: commit: a blocking function that only this thread calls."""

    def __init__(
        self,
        commit: Callable[[Sequence[I]], None],
        fate: Fate,
        count: CommitCount,
        threads: Threads,
    ) -> None:
        self.commit = commit
        self._fate = fate
        self._count = count
        self._threads = threads
        self._queue: Queue[list[I] | Stop | Resume | Mark] = threads.queue()
        self._marks: list[Mark] = []  # passed with the batch it works on

    # --- on the loop ---

    def start(self, name: str, call: Callable[..., object], owner: OnTheLoop[I]) -> None:
        """Args: call: has a function run soon on the loop, from any thread."""

        def work() -> None:
            self._serve(call, owner)

        self._threads.thread(work, f"writer {name}").start()

    def put(self, item: list[I] | Stop | Resume | Mark) -> None:
        self._queue.put(item)

    def rest(self) -> list[I]:
        """What it has ended without."""
        rest: list[I] = []
        try:
            while True:
                item = self._queue.get(False)
                if isinstance(item, list):
                    rest += item
                elif isinstance(item, Mark):
                    self._marks.append(item)
        except Empty:
            return rest

    def pass_marks(self) -> None:
        """It has ended, and everything is settled."""
        for mark in self._marks:
            mark.passed()

    # --- on the thread ---

    def _serve(self, call: Callable[..., object], owner: OnTheLoop[I]) -> None:
        refused: BaseException | None = None
        stopped = False
        while not stopped:
            batch, stopped, resumed = self._take()
            if self._fate.is_over():  # on the express: nothing is written any more
                call(owner.settle_queued, batch, self._fate.ran_never())
            elif refused is not None:
                if batch:
                    call(owner.refuse, batch, refused, False)
                refused = None if resumed else refused
            elif batch:
                refused = self._commit_one(batch, call, owner)
                if self._fate.is_over():
                    break
            self._pass_marks(call)
        call(owner.end)

    def _pass_marks(self, call: Callable[..., object]) -> None:
        marks, self._marks = self._marks, []
        for mark in marks:
            call(mark.passed)

    def _take(self) -> tuple[list[I], bool, bool]:
        """Everything waiting up to a stop or a resume: (items, stopped, resumed)."""
        batch: list[I] = []
        get = self._queue.get
        item = get()
        try:
            while True:
                if isinstance(item, Stop):
                    return batch, True, False
                if isinstance(item, Resume):
                    return batch, False, True
                if isinstance(item, Mark):
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

    def _commit_one(
        self, batch: list[I], call: Callable[..., object], owner: OnTheLoop[I]
    ) -> BaseException | None:
        """Commit a batch and settle it. Answers the refusal, if it was refused."""
        started = time.perf_counter()
        try:
            self.commit(batch)
        except EventspineError as error:
            call(owner.refuse, batch, error, True)
            return error
        except BaseException as error:
            call(owner.settle_queued, batch, self._fate.failed(error))
            return None
        self._count.add(batch, time.perf_counter() - started)
        call(owner.settle_queued, batch, None)
        return None
