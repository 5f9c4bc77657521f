"""Circuit: whether a backend is worth asking. Pure: no clock, no I/O, no await.

    closed     it works, as far as anybody knows; everything is let through
    open       it does not: callers are refused at once, until the next try
    half_open  the next try is on its way; callers are still refused

Rules: a backend that is gone (its store failed, or could not be opened) opens the circuit at once;
of failed sentinels it takes `failures_max` in a row. The pause before a try grows from 1 s to 30 s
with full jitter, so that many processes do not come back together. `failures` go to 0 when
something was stored, not when the store could merely be opened: a backend that opens and fails
again counts on. Source: DESIGN decision 4; Nygard, "Release It!", circuit breaker.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from eventspine.contracts.circuit import CircuitState
from eventspine.runtime.restart import Backoff

FAILURES_MAX = 3
BACKOFF = Backoff(base_s=1.0, cap_s=30.0)


class Moment(NamedTuple):
    """Now: by the clock of the loop, and by the time of day."""

    s: float
    at: str


class Circuit:
    __slots__ = (
        "_backoff",
        "_rng",
        "failures",
        "failures_max",
        "gone",
        "last_error",
        "last_error_at",
        "last_ok_at",
        "next_try_s",
        "opened_at",
        "opens",
        "state",
    )

    def __init__(
        self,
        failures_max: int = FAILURES_MAX,
        backoff: Backoff = BACKOFF,
        rng: random.Random | None = None,
    ) -> None:
        self.failures_max = failures_max
        self._backoff = backoff
        self._rng = rng or random.Random()
        self.state: CircuitState = "closed"
        self.failures = 0  # in a row
        self.opens = 0  # how often it went from closed to open
        self.gone = False  # who opens the store decides when the next try is
        self.opened_at: str | None = None
        self.next_try_s: float | None = None
        self.last_error: str | None = None
        self.last_error_at: str | None = None
        self.last_ok_at: str | None = None

    def failed(self, error: str, now: Moment, *, gone: bool = False) -> None:
        """It did not work. `gone`: the store itself is not open any more."""
        self.failures += 1
        self.last_error, self.last_error_at = error, now.at
        if not (gone or self.state != "closed" or self.failures >= self.failures_max):
            return
        if self.state == "closed":
            self.opens += 1
            self.opened_at = now.at
        self.state, self.gone = "open", gone
        pause_s = self._backoff.pause_s(max(1, self.failures - self.failures_max + 1), self._rng)
        self.next_try_s = None if gone else now.s + pause_s

    def noted(self, error: str, now: Moment) -> None:
        """It answered, but could not do it for a reason of its own: no outage."""
        self.last_error, self.last_error_at = error, now.at
        if self.state == "half_open":
            self._close()

    def trying(self) -> None:
        """The next try begins."""
        if self.state == "open":
            self.state, self.next_try_s = "half_open", None

    def opened(self) -> None:
        """The store is open again. Nothing was stored yet."""
        if self.state != "closed" and self.gone:
            self._close()

    def worked(self, now: Moment) -> None:
        """Something was stored."""
        self.failures, self.last_ok_at = 0, now.at
        self._close()

    def _close(self) -> None:
        self.state, self.gone = "closed", False
        self.opened_at = self.next_try_s = None
