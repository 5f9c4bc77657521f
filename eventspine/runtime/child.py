"""One child of a supervisor: its specification, its task, its end.

Job: run `start` in a task of its own, tell readiness and the end, stop in order.
Rules: the child's task is shielded, so only its supervisor ends it and the order of a drain is
the supervisor's; whatever it raises is caught here and told, so siblings do not notice. To stop:
a child that waits in `stop_requested()` is asked, and has `shutdown_s` to end by itself; then,
and at once for any other child, it is cancelled.
Not possible: ending a child that shields itself from cancellation. It is waited for, and shown
as `overdue` after `shutdown_s`.
Why except*: on trio a crash that races a cancellation arrives as a group of both.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import anyio
from anyio.abc import TaskStatus

from eventspine.runtime.restart import Restart, sole

State = Literal["waiting", "starting", "running", "stopping", "ended"]

CAUSES_KEPT = 8

_log = logging.getLogger(__name__)


class Node(Protocol):
    """What a supervisor runs: calls `task_status.started()` when it is ready to serve."""

    async def __call__(self, *, task_status: TaskStatus[Any]) -> object: ...


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child, in OTP's words.

    Attributes:
        restart: permanent: always; transient: after a crash; temporary: never.
        shutdown_s: time to end by itself once it is asked to (see `stop_requested`).
        tree: snapshot of what runs below it, when it is a supervisor itself.
    """

    name: str
    start: Node
    restart: Restart = "permanent"
    shutdown_s: float = 5.0
    tree: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class RestartCause:
    """One end of a child that was followed by a restart. `at_s` is of the loop's clock."""

    at_s: float
    cause: str
    outage: bool


_current: ContextVar[Child | None] = ContextVar("eventspine_current_child", default=None)


async def stop_requested() -> None:
    """Wait until the supervisor asks the calling child to end by itself.

    Calling it is what makes a child asked before it is cancelled. Outside a supervised child
    it waits forever.
    """
    child = _current.get()
    if child is None:
        await anyio.sleep_forever()
    else:
        child.listens = True
        await child.stop.wait()


class Child:
    """A child and its present incarnation. Only its supervisor changes `state`."""

    def __init__(self, spec: ChildSpec, on_change: Callable[[], None]) -> None:
        self.spec = spec
        self.state: State = "waiting"
        self.due_s = 0.0
        self.failures = 0
        self.restarts = 0
        self.outages = 0
        self.causes: deque[RestartCause] = deque(maxlen=CAUSES_KEPT)
        self.overdue = False
        self.was_ready = False
        self.accepted = False  # the first start came out well
        self.removed = False
        self.settled = anyio.Event()  # the first start came to something
        self._on_change = on_change
        self.renew()

    def renew(self) -> None:
        """Forget the last incarnation."""
        self.scope = anyio.CancelScope(shield=True)
        self.stop = anyio.Event()
        self.ended = anyio.Event()
        self.error: BaseException | None = None
        self.ready_at_s: float | None = None
        self.listens = False
        self.overdue = False

    @property
    def has_task(self) -> bool:
        return self.state in {"starting", "running", "stopping"}

    @property
    def fell(self) -> bool:
        """It ended without being stopped, and nobody decided about that yet."""
        return self.state in {"starting", "running"} and self.ended.is_set()

    def started(self, value: object = None) -> None:
        """The node is ready; this object is its `task_status`. Later calls change nothing."""
        if self.ready_at_s is None:
            self.ready_at_s = anyio.current_time()
            self.was_ready = True
            if self.state == "starting":
                self.state = "running"
            self.settled.set()
            self._on_change()

    async def run(self) -> None:
        """The child's task. Raises nothing but what is no Exception (KeyboardInterrupt)."""
        _current.set(self)
        try:
            with self.scope:
                await self.spec.start(task_status=self)
        except* Exception as crash:
            self.error = sole(crash)
        finally:
            self.ended.set()
            self.settled.set()
            self._on_change()

    async def end(self) -> None:
        """Stop the present incarnation and wait for its end; it may have ended already."""
        self.state = "stopping"
        try:
            if self.listens and not self.ended.is_set():
                self.stop.set()
                with anyio.move_on_after(self.spec.shutdown_s):
                    await self.ended.wait()
        finally:
            self.scope.cancel()
        with anyio.move_on_after(self.spec.shutdown_s):
            await self.ended.wait()
        if not self.ended.is_set():
            self.overdue = True
            _log.error("child %s ignores its cancellation", self.spec.name)
            await self.ended.wait()
        if self.error is not None:
            _log.warning("child %s crashed while it stopped: %r", self.spec.name, self.error)
        self.state = "ended"
