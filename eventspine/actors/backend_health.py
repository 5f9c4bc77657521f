"""BackendHealth: the circuit of one open backend, and who is told when it changes.

Job: bring what happens to a backend before its circuit with the time it happened, refuse callers
while the circuit is not closed, tell listeners of every change of its state. The owner of the
store says when it comes and goes; the prober (services/routing/health.py) says what became of
its looks.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from eventspine.actors.circuit import Circuit, Moment
from eventspine.contracts.circuit import CircuitHealth, CircuitState, told
from eventspine.contracts.entries import later
from eventspine.contracts.errors import StoreUnavailable
from eventspine.contracts.wire import WallClock

log = logging.getLogger(__name__)
Changed = Callable[["BackendHealth", CircuitState], None]


class BackendHealth:
    """`refuses`: whether callers are refused now; read for every append.

    Args:
        now_s: the clock of the loop; a callback outside of any task reads it too.
        reopens_in_s: how long until a store that is gone is opened again; None: it is being tried.
    """

    def __init__(
        self, backend: str, now_s: Callable[[], float], circuit: Circuit | None = None
    ) -> None:
        self.backend = backend
        self.circuit = circuit or Circuit()
        self.refuses = False
        self.reopens_in_s: Callable[[], float | None] = lambda: None
        self.listeners: list[Changed] = []
        self._now_s = now_s
        self._clock = WallClock(time.time)

    # --- what happens ---

    def failed(self, error: BaseException, *, gone: bool = False) -> None:
        before = self.circuit.state
        self.circuit.failed(told(error), self._now(), gone=gone)
        self._tell(before)

    def noted(self, error: BaseException) -> None:
        before = self.circuit.state
        self.circuit.noted(told(error), self._now())
        self._tell(before)

    def trying(self) -> None:
        before = self.circuit.state
        self.circuit.trying()
        self._tell(before)

    def opened(self) -> None:
        before = self.circuit.state
        self.circuit.opened()
        self._tell(before)

    def worked(self) -> None:
        before = self.circuit.state
        self.circuit.worked(self._now())
        self._tell(before)

    def _tell(self, before: CircuitState) -> None:
        after = self.circuit.state
        self.refuses = after != "closed"
        if after == before:
            return
        if after == "open" and before == "closed":
            log.warning("%s: the circuit opens: %s", self.backend, self.circuit.last_error)
        elif after == "closed":
            log.warning("%s: the circuit closes", self.backend)
        for listener in self.listeners:
            listener(self, before)

    # --- what callers get ---

    def unavailable(self, why: str) -> StoreUnavailable:
        """The answer to a caller, with when another try is worth it."""
        wait_s = self.next_try_in_s()
        return StoreUnavailable(
            f"{self.backend}: {why}",
            retry_after_s=1 if wait_s is None else max(1, math.ceil(wait_s)),
        )

    def refusal(self) -> StoreUnavailable:
        return self.unavailable(self.detail)

    @property
    def detail(self) -> str:
        """What is to be said of a store that is open."""
        if self.circuit.state == "closed":
            return "open"
        return f"the circuit is {self.circuit.state}: {self.circuit.last_error}"

    def next_try_in_s(self) -> float | None:
        """Seconds to the next try; None when there is none to wait for."""
        if self.circuit.state == "closed":
            return None
        if self.circuit.gone:
            return self.reopens_in_s()
        due_s = self.circuit.next_try_s
        return None if due_s is None else max(0.0, due_s - self._now_s())

    def shown(self) -> CircuitHealth:
        circuit, wait_s = self.circuit, self.next_try_in_s()
        return CircuitHealth(
            backend=self.backend,
            state=circuit.state,
            failures=circuit.failures,
            opened_at=circuit.opened_at,
            next_try_at=None if wait_s is None else later(self._now().at, wait_s),
            last_error=circuit.last_error,
            last_error_at=circuit.last_error_at,
            last_ok_at=circuit.last_ok_at,
        )

    def _now(self) -> Moment:
        return Moment(self._now_s(), self._clock.read().ts.decode())
