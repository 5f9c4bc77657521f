"""One computer: its disk, and the processes that live on it one after the other.

A process is the whole embedded product, as `eventspine.open` gives it: registry, supervisor,
actors, writer, flusher, files. It ends by a stop, a kill or a power cut; whoever was waiting for
an answer then gets none.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import trio

from eventspine.adapters.filesystem.disk import Disk
from eventspine.bootstrap import open_spine
from eventspine.contracts.errors import EventspineError, StoreCorrupt
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import Settings
from eventspine.runtime.restart import leaves
from eventspine.runtime.tree import ChildTree, SupervisorTree
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import Crashed, never
from eventspine.testing.simulated_threads import SimulatedThreads
from tests.simulation.clock import JumpingClock
from tests.simulation.disk import TracedDisk
from tests.simulation.ledger import Ledger
from tests.simulation.life import Life
from tests.simulation.trace import Trace
from tests.simulation.world import virtual_clock

T = TypeVar("T")
ROOT = Path("/simulated/root")
ROUTE = RouteSpec(
    resource_kind=ResourceKind.EVENT_STREAM,
    tenant_id="t",
    env="dev",
    mode="lab",
    backend_type="filesystem",
)


class NoAnswer(Exception):
    """The process ended, or the client's patience: what was asked may have happened."""


class Machine:
    """Args: pauses: share of the disk's operations before which others run.

    Attributes:
        is_calm: nothing fails in the life that is, or just was.
        disk_failed: something has failed in one of them.
        rotten: a bit of a file has changed.
    """

    def __init__(
        self,
        seed: int,
        settings: Settings,
        ledger: Ledger,
        trace: Trace,
        clock: JumpingClock,
        pauses: float,
    ) -> None:
        self.rng = random.Random(f"machine {seed}")
        self._clock, self._pauses = clock, pauses
        self.disk = TracedDisk(ROOT, seed, lambda what: trace.add("disk", what))
        self.settings = settings
        self.ledger = ledger
        self.trace = trace
        self.spine: Spine | None = None
        self.operator_stops = trio.Event()
        self.disk_failed = self.rotten = False
        self.is_calm = False
        self.starts = 0
        self._up = trio.Event()
        self._calls: dict[trio.CancelScope, None] = {}
        self._process = trio.CancelScope()
        self._route_acked = False

    # --- for clients ---

    async def call(self, work: Callable[[Spine], Awaitable[T]], patience_s: float) -> T:
        """Ask the process that runs, or the next one. Raises NoAnswer."""
        while self.spine is None:
            await self._up.wait()
        with trio.CancelScope(deadline=trio.current_time() + patience_s) as scope:
            self._calls[scope] = None
            try:
                return await work(self.spine)
            except Crashed:
                pass
            finally:
                del self._calls[scope]
        raise NoAnswer

    # --- one process ---

    async def live(self, life: Life) -> None:
        """From the start of a process to its end, and to the state its disk is in then."""
        self.trace.add("machine", f"{life}")
        self._arm(life)
        started = False
        with trio.CancelScope() as self._process:
            try:
                async with SimulatedThreads(
                    self.rng, self._look, pauses=self._pauses, sleep=self._clock.sleep
                ) as threads:
                    self.disk.pause = threads.pause
                    async with self._opened(threads) as spine:
                        await self._serve(spine, life)
                        started = True
            except* Crashed:
                pass
            except* (OSError, EventspineError) as failed:
                if not (self.disk.is_down or self._may_fail(failed, life, started)):
                    self.ledger.wrong(f"the process failed: {failed.exceptions}")
        self._down()
        while self._calls:  # noqa: ASYNC110 - until nobody is left who talks to this process
            await trio.sleep(0.0001)
        self.disk.pause = lambda: None
        for failure in threads.failures:
            if not self.disk.is_down:
                self.ledger.wrong(f"a thread ended with {failure!r}")
        self._afterwards(life)

    def _may_fail(self, failed: BaseException, life: Life, started: bool) -> bool:
        corrupt = all(isinstance(error, StoreCorrupt) for error in leaves(failed))
        return (corrupt and self.rotten) or (life.has_faults and not started and not corrupt)

    def _opened(self, threads: SimulatedThreads) -> Any:
        disk = cast(Disk, self.disk)
        return open_spine(ROOT, settings=self.settings, disk=disk, threads=threads)

    def _arm(self, life: Life) -> None:
        disk = self.disk
        if life.crash_after is not None:
            disk.crash_at = disk.operations + life.crash_after
        disk.crashes = life.crash_in.counting() if life.crash_in else never
        disk.fails = life.failing_in.counting() if life.failing_in else never
        if life.failing_sync is not None:
            disk.failing_syncs = frozenset([disk.syncs + life.failing_sync])
        if life.failing_operation is not None:
            disk.failing_operations = frozenset([disk.operations + life.failing_operation])
        disk.fills = life.full_in.counting() if life.full_in else never
        disk.room_bytes = life.space_bytes or 0
        disk.space_bytes = None if life.full_at_s or life.full_in else life.space_bytes
        self.disk_failed |= life.has_faults
        self.is_calm = not life.has_faults

    async def _serve(self, spine: Spine, life: Life) -> None:
        spine._clock = virtual_clock()
        await self._make_route(spine)
        self.starts += 1
        self.trace.add("machine", "up")
        self.spine = spine
        self._up.set()
        with trio.move_on_after(life.after_s):
            if life.full_at_s:
                with trio.move_on_after(life.full_at_s):
                    await self.operator_stops.wait()
                self.disk.space_bytes = life.space_bytes
            with trio.move_on_after(life.space_s):
                await self.operator_stops.wait()
            if not self.operator_stops.is_set():  # else it is stopped on a full disk
                self.disk.space_bytes, self.disk.fills = None, never
            await self.operator_stops.wait()
        self._check_children(spine.tree())
        if life.end == "stop" and not life.crashes:
            self.trace.add("machine", "stop")
            spine.drain()
        else:
            self.disk.stop()
            self._look()
            await trio.lowlevel.checkpoint()

    async def _make_route(self, spine: Spine) -> None:
        if spine.routes.revision == 0:
            if self._route_acked:
                self.ledger.wrong("the route is gone")
            await spine.routes.create(ROUTE, by="operator")
            self._route_acked = True

    def _look(self) -> None:
        """After every step of a thread: is the machine still there?"""
        if self.disk.is_down and not self._process.cancel_called:
            self.trace.add("machine", "gone")
            if self.spine is not None:
                self._check_children(self.spine.tree())
            self._process.cancel()
            self._down()

    def _down(self) -> None:
        """Nobody is answered any more."""
        self.spine = None
        if self._up.is_set():
            self._up = trio.Event()
        for scope in self._calls:
            scope.cancel()

    def _afterwards(self, life: Life) -> None:
        disk = self.disk
        disk.failing_syncs = disk.failing_operations = frozenset()
        disk.fails = disk.fills = never
        disk.space_bytes = None
        power = life.power_too or life.end == "power"
        if not disk.is_down and disk._open:
            left = [str(disk._paths[fd]) for fd in disk._open]
            self.ledger.wrong(f"descriptors are open after the end: {left}")
        self.trace.add("machine", "power cut" if power else "ended")
        disk.crash("power" if power else "process", keeps=life.keeps)

    def _check_children(self, tree: SupervisorTree) -> None:
        """An outage is waited out; whatever else restarts a child is a bug."""
        for child in tree.children:
            assert isinstance(child, ChildTree)
            if child.restarts:
                self.ledger.wrong(f"{child.name} of {tree.name} crashed: {child.causes}")
            if isinstance(child.below, SupervisorTree):
                self._check_children(child.below)
