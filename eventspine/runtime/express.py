"""What a Writer has on its express: a batch on its way, and batches that have landed.

Source: contracts/express.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from eventspine.contracts.express import Express
from eventspine.runtime.ticket import loop_caller, reader_of

I = TypeVar("I")  # noqa: E741


class Landed(NamedTuple, Generic[I]):
    """A batch that is durable, or has failed with an error; how long it was on its way."""

    batch: Sequence[I]
    error: BaseException | None
    took_s: float


class Flights(Generic[I]):
    """Args: express: of an open store. landed: called on the loop when a batch has landed."""

    def __init__(self, express: Express[I], landed: Callable[[], object]) -> None:
        self._express = express
        self._flying: Sequence[I] | None = None
        self._began_s = 0.0
        self._stop: Callable[[], object] | None = None
        fd = express.device.listen(landed, loop_caller())
        self._stop = None if fd is None else reader_of(fd, landed)
        self.usable = fd is None or self._stop is not None

    @property
    def flying(self) -> bool:
        """Whether a batch is on its way, landed and not taken included."""
        return self._flying is not None

    def begin(self, batch: Sequence[I]) -> bool:
        """Send it off. False: it cannot go this way."""
        began_s = time.perf_counter()
        if not self._express.begin(batch):
            return False
        self._flying, self._began_s = batch, began_s
        return True

    def take(self) -> Landed[I] | None:
        """What has landed, if it has; another one may begin then."""
        batch = self._flying
        if batch is None or not self._express.device.landed:
            return None
        self._flying, error = None, None
        try:
            self._express.finish(batch)
        except Exception as failed:
            error = failed
        return Landed(batch, error, time.perf_counter() - self._began_s)

    def end(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None
