"""A supervisor in OTP's words, as a node: it runs children, restarts them, drains them.

Job: start left to right, each when the one before is ready; restart by strategy; drain right to
left; escalate by raising.
Rules: one task decides (`run`), the children only tell; a back-off delays nobody but those who
restart; a child that fails its first start fails the start of the supervisor; a cancelled
supervisor restarts nobody; the budget is the supervisor's, so nesting multiplies intensities.
Outages wait out their back-off and spend nothing.
Source: OTP "Supervision Principles"; DESIGN decision 4.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup, TaskStatus

from eventspine.contracts.errors import Draining
from eventspine.runtime.child import Child, ChildSpec, RestartCause
from eventspine.runtime.restart import (
    Backoff,
    Budget,
    Errors,
    Restart,
    Strategy,
    Verdict,
    affected,
    verdict,
)
from eventspine.runtime.tree import ChildTree, SupervisorTree

_log = logging.getLogger(__name__)


class Escalation(Exception):
    """A supervisor used its restart budget up; its parent decides. `__cause__`: the last."""


class StartFailed(Exception):
    """A permanent child ended, without an error, before it was ready."""


class Supervisor:
    """A node that supervises nodes.

    Args:
        intensity: restarts within `period_s` that are still bearable.
        fatal: errors no restart can mend (a fenced writer): they escalate at once.
        outage: errors of a dependency: restart with back-off, without spending the budget.
        rng: of the jitter; for tests.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[ChildSpec] = (),
        *,
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period_s: float = 5.0,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        fatal: Errors = (),
        outage: Errors = (),
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self._specs = tuple(children)
        if len({spec.name for spec in self._specs}) < len(self._specs):
            raise ValueError(f"two children of {name} have the same name")
        self._strategy = strategy
        self._budget = Budget(intensity, period_s)
        self._backoff = backoff
        self._fatal = fatal
        self._outage = outage
        self._rng = rng or random.Random()
        self._children: list[Child] = []
        self._tasks: TaskGroup | None = None

    def child_spec(
        self, *, restart: Restart = "permanent", shutdown_s: float = math.inf
    ) -> ChildSpec:
        """This supervisor as a child of another one."""
        return ChildSpec(self.name, self.run, restart, shutdown_s, self.tree)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the children until cancelled; `started()` once all of them are ready.

        Raises:
            Escalation: the budget is used up.
            Exception: what a child's first start failed with, or an error declared fatal.
        """
        self._budget = Budget(self._budget.intensity, self._budget.period_s)
        self._changed = anyio.Event()
        self._children = [Child(spec, self._wake) for spec in self._specs]
        failure: Exception | None = None
        async with anyio.create_task_group() as self._tasks:
            try:
                await self._start_all()
                task_status.started()
                await self._watch()
            except Exception as error:  # raised below, outside the group, which would wrap it
                failure = error
            finally:
                with anyio.CancelScope(shield=True):
                    await self._drain()
        if failure is not None:
            raise failure

    # --- deciding --------------------------------------------------------------------------

    async def _start_all(self) -> None:
        for child in list(self._children):
            self._launch(child)
            await child.settled.wait()
            if (error := self._failed_start(child)) is not None:
                raise error

    async def _watch(self) -> None:
        while True:
            self._changed = anyio.Event()
            for child in list(self._children):
                if child.fell:
                    await self._on_end(child)
                elif child.removed and child.ended.is_set():
                    self._forget(child)  # whoever was stopping it was cancelled
            due_s = self._launch_due(anyio.current_time())
            with anyio.CancelScope(deadline=due_s):
                await self._changed.wait()

    async def _on_end(self, child: Child) -> None:
        child.state = "ended"
        if not child.accepted and self._failed_start(child) is not None:
            self._forget(child)  # added at run time; start_child tells why
            return
        error = child.error
        match self._verdict(child):
            case "escalate":
                assert isinstance(error, Exception)
                raise error
            case "leave" if error is not None:
                _log.warning("child %s of %s crashed: %r", child.spec.name, self.name, error)
            case "restart" | "wait_out" as what:
                self._account(child, anyio.current_time(), outage=what == "wait_out")
                await self._take_down(child)

    def _verdict(self, child: Child) -> Verdict:
        return verdict(child.spec.restart, child.error, fatal=self._fatal, outage=self._outage)

    def _account(self, child: Child, now: float, *, outage: bool) -> None:
        cause = repr(child.error) if child.error is not None else "ended"
        _log.warning("child %s of %s restarts: %s", child.spec.name, self.name, cause)
        child.causes.append(RestartCause(now, cause, outage))
        if child.ready_at_s is not None and now - child.ready_at_s > self._budget.period_s:
            child.failures = 0
        child.failures += 1
        if outage:
            child.outages += 1
            return
        child.restarts += 1
        if not self._budget.spend(now):
            raise Escalation(
                f"{self.name}: more than {self._budget.intensity} restarts in "
                f"{self._budget.period_s} s, last of {child.spec.name}: {cause}"
            ) from child.error

    async def _take_down(self, failed: Child) -> None:
        """Stop whoever restarts together with `failed`, and set the time of their start."""
        places = affected(self._strategy, self._children.index(failed), len(self._children))
        group = [self._children[place] for place in places]
        for child in reversed(group):
            if child.state in {"starting", "running"}:
                await child.end()
                if isinstance(child.error, Exception) and self._verdict(child) == "escalate":
                    raise child.error
        due_s = anyio.current_time() + self._backoff.pause_s(failed.failures, self._rng)
        for child in group:
            if not child.removed and child.spec.restart != "temporary":
                child.state, child.due_s = "waiting", due_s

    def _launch_due(self, now: float) -> float:
        """Start whoever may start now; returns when to look again, in the loop's time.

        With a strategy that ties children together, each waits until those to its left are up.
        """
        look_again_s = math.inf
        for child in list(self._children):
            if child.state == "waiting" and child.due_s <= now:
                self._launch(child)
            if child.state == "waiting":
                look_again_s = min(look_again_s, child.due_s)
            if self._strategy != "one_for_one" and child.state in {"waiting", "starting"}:
                break
        return look_again_s

    def _launch(self, child: Child) -> None:
        assert self._tasks is not None
        child.renew()
        child.state = "starting"
        self._tasks.start_soon(child.run, name=f"{self.name}/{child.spec.name}")

    def _failed_start(self, child: Child) -> Exception | None:
        """Why the first start of `child` failed, or None when it is up or ended as it may."""
        if not child.was_ready:
            if isinstance(child.error, Exception):
                return child.error
            if child.spec.restart == "permanent":
                return StartFailed(f"{child.spec.name} of {self.name} ended before it was ready")
        child.accepted = True
        return None

    async def _drain(self) -> None:
        self._tasks = None
        for child in reversed(list(self._children)):
            child.removed = True  # before its end wakes whoever waits for its start
            if child.has_task:
                await child.end()
            child.state = "ended"
            child.settled.set()

    def _wake(self) -> None:
        self._changed.set()

    # --- children at run time --------------------------------------------------------------

    async def start_child(self, spec: ChildSpec) -> None:
        """Add a child at the right end and wait until it is ready.

        Raises:
            Draining: the supervisor does not run.
            ValueError: there is a child with this name.
            Exception: what its first start failed with; the child is gone again then.
        """
        if self._tasks is None:
            raise Draining(f"supervisor {self.name} does not run", key=spec.name)
        if any(child.spec.name == spec.name for child in self._children):
            raise ValueError(f"{self.name} has a child {spec.name!r} already")
        child = Child(spec, self._wake)
        self._children.append(child)
        self._wake()
        try:
            await child.settled.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._remove(child)
            raise
        if not child.was_ready and child.removed:
            raise Draining(f"{spec.name} of {self.name} was stopped before it was ready")
        if (error := self._failed_start(child)) is not None:
            self._forget(child)
            raise error

    async def stop_child(self, name: str) -> None:
        """Stop and remove a child; a child that does not exist is stopped already."""
        for child in list(self._children):
            if child.spec.name == name:
                await self._remove(child)

    async def _remove(self, child: Child) -> None:
        child.removed = True
        if child.has_task:
            await child.end()
        child.settled.set()
        self._forget(child)
        self._wake()

    def _forget(self, child: Child) -> None:
        child.state = "ended"
        if child in self._children:
            self._children.remove(child)

    # --- what it looks like ----------------------------------------------------------------

    def tree(self) -> SupervisorTree:
        """This supervisor and everything below it as it is now. Must be called in its loop."""
        now = anyio.current_time()
        return SupervisorTree(
            name=self.name,
            strategy=self._strategy,
            intensity=self._budget.intensity,
            period_s=self._budget.period_s,
            budget_left=self._budget.left(now),
            running=self._tasks is not None,
            children=tuple(ChildTree.of(child, now) for child in self._children),
        )
