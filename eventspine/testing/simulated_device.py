"""The device of an express in a simulation: a thread like the others, on the simulated disk."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, NamedTuple

from eventspine.contracts.threads import Queue, Threads


class _Record(NamedTuple):
    fd: int
    data: bytes
    offset: int
    seal_fd: int
    seal: bytes


class SimulatedDevice:
    """See eventspine.contracts.express.Device. `write_sealed`: of the disk."""

    def __init__(self, threads: Threads, write_sealed: Callable[..., int]) -> None:
        self._write_sealed = write_sealed
        self._given: Queue[_Record | None] = threads.queue()
        self._outcome: tuple[int, int] | None = None
        self._told: Callable[[], object] = lambda: None
        self._is_closed = False
        threads.thread(self._serve, "express").start()

    @property
    def landed(self) -> bool:
        return self._outcome is not None

    def listen(self, tell: Callable[[], object], call: Callable[..., Any]) -> None:
        self._told = lambda: call(tell)

    def begin(self, fd: int, data: bytes, offset: int, seal_fd: int, seal: bytes) -> None:
        assert self._outcome is None, "a record has landed and was not taken"
        self._given.put(_Record(fd, data, offset, seal_fd, seal))

    def finish(self) -> tuple[int, int]:
        assert self._outcome is not None, "nothing has landed"
        outcome, self._outcome = self._outcome, None
        return outcome

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._given.put(None)

    def _serve(self) -> None:
        while (record := self._given.get()) is not None:
            outcome = errno.EIO, 0
            try:
                outcome = 0, self._write_sealed(*record)
            except OSError as error:
                outcome = error.errno or errno.EIO, 0
            finally:
                self._outcome = outcome
                self._told()
