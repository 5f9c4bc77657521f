"""The directory of keyed cells: one exclusive turn at a time per key, run in its caller's task.

Job: `live` for turns that never await, `turn` and `control` for those that may, `reset` when
something crashed, passivation by number and by idle time, `drain` at the end.
Rules: between finding a cell and entering it or joining its line there is no await, so a key is
never activated twice; every refusal says never_ran and counts itself; an idle key is its cell
and nothing else.
Refused: cancelling `work` at the deadline. The deadline bounds the wait and the activation, so
DeadlineExceeded always means that the work never ran.
Source: DESIGN decisions 3 and 4.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from eventspine.contracts.errors import Deadlock
from eventspine.runtime.cell import VACANT, Cell, Turn
from eventspine.runtime.clock import LoopClock
from eventspine.runtime.limits import DirectoryLimits
from eventspine.runtime.permits import Permits
from eventspine.runtime.population import Population
from eventspine.runtime.quarantine import Quarantine, is_crash
from eventspine.runtime.refusal import Refusals
from eventspine.runtime.statistics import CellSnapshot, Counters, DirectoryStatistics
from eventspine.runtime.turnstile import Turnstile
from eventspine.runtime.waitfor import HELD, begin_ask, end_ask, running_turn

S = TypeVar("S")
T = TypeVar("T")

FAIRNESS_TURNS = 64
IDLE_STEPS = 4

_log = logging.getLogger(__name__)


class Directory(Generic[S]):
    """Keyed cells with state `S`, activated on first use. Belongs to one event loop.

    Args:
        name: stands before the key in statistics and in the cycle of a Deadlock.
        activate: makes the state of a key. Runs inside the first turn, never twice at once for
            one key. An EventspineError it raises is that caller's answer; the next caller in
            line tries again. Anything else counts as a crash of the key.
        may_passivate: False means not now (work in flight, somebody attached).
        on_passivate: called after a cell was passivated. Must not await; its crash is logged.
        on_reset: likewise, with the state that was forgotten because something failed.
        limits: the bounds.
        rng: seeds the sampling of passivation; for tests.
    """

    def __init__(
        self,
        name: str,
        activate: Callable[[str], Awaitable[S]],
        *,
        may_passivate: Callable[[S], bool] | None = None,
        on_passivate: Callable[[str, S], None] | None = None,
        on_reset: Callable[[str, S], None] | None = None,
        limits: DirectoryLimits = DirectoryLimits(),  # noqa: B008 - frozen
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.limits = limits
        self._activate = activate
        self._clock = LoopClock()
        self._count = Counters()
        self._refusals = Refusals(name, self._count)
        self._population: Population[S] = Population(
            name, self._count, may_passivate, on_passivate, on_reset, rng or random.Random()
        )
        self._cells = self._population.cells
        self._live = self._cells  # becomes an empty dict at drain: `live` needs no flag of its own
        self._turnstile = Turnstile(
            name, limits, self._clock, self._count, self._refusals, self._population.drop
        )
        self._permits = Permits(limits.activations_max)
        self._quarantine = Quarantine(limits)
        self._turns = 0
        self._yield_at = FAIRNESS_TURNS
        self._draining = self._closed = False

    def __len__(self) -> int:
        return len(self._cells)

    def known_keys(self) -> list[str]:
        """The keys that are known now, awake or not."""
        return list(self._cells)

    # --- turns -----------------------------------------------------------------------------

    def live(self, key: str) -> S | None:
        """State of an activated cell that nobody is using, for a turn that never awaits.

        None means: use `turn`. The exclusion ends at the caller's next await. A caller that can
        loop without suspending awaits `fairness()` once per turn, before this call. A crash in
        such a turn is the caller's to report, by `reset(key, error)`.
        """
        cell = self._live.get(key)
        if cell is None or cell.turn is not None:
            return None
        cell.touched = self._population.tick
        self._turns += 1
        return cell.state

    def peek(self, key: str) -> S | None:
        """State of an activated cell, even while a turn runs: to look at, never to change."""
        cell = self._live.get(key)
        if cell is None or cell.state is VACANT:
            return None
        cell.touched = self._population.tick
        return cell.state

    async def fairness(self) -> None:
        """Let others run if 64 turns went by without anybody waiting; else return at once.

        Why: a turn that never suspends never lets the loop run (0.5 s stalls were measured).
        """
        if self._turns >= self._yield_at:
            self._yield_at = self._turns + FAIRNESS_TURNS
            self._population.next_tick()
            await checkpoint()

    async def turn(
        self, key: str, work: Callable[[S], Awaitable[T]], *, deadline: float | None = None
    ) -> T:
        """Run `work(state)` with the cell to itself, after everybody who asked before.

        Args:
            deadline: `anyio.current_time()` value after which the work will not be started;
                by default `limits.turn_wait_s` from now.

        Raises:
            Overloaded: `limit` is `waiters_max` or `cells_max`; with `retry_after_s`.
            DeadlineExceeded: it was not its turn, or not activated, in time.
            Quarantined: the key crashed too often; with `cause` and `retry_after_s`.
            Deadlock: the caller runs in a turn that the key is waiting for; with `cycle`.
            Draining: the directory is stopping.
            Exception: whatever `work` or `activate` raised, as it is.
        """
        if self._turns >= self._yield_at:
            await self.fairness()
        return await self._ask(key, work, deadline, control=False)

    async def control(
        self, key: str, work: Callable[[S], Awaitable[T]], *, deadline: float | None = None
    ) -> T:
        """Like `turn`, but before every waiting turn, without bounds and without a deadline.

        Neither the number of waiters or cells nor a quarantine refuses it, and it is admitted
        while the directory drains; after that it is refused with Draining, like everything.
        """
        return await self._ask(key, work, math.inf if deadline is None else deadline, control=True)

    async def _ask(
        self,
        key: str,
        work: Callable[[S], Awaitable[T]],
        deadline: float | None,
        *,
        control: bool,
    ) -> T:
        self._turns += 1
        asker = running_turn()
        cell = self._admit(key, deadline, nested=asker is not None, control=control)
        if asker is None:
            return await self._take(cell, work, deadline, None, control=control)
        try:
            begin_ask(asker, cell)
        except Deadlock:
            self._count.deadlocks_refused += 1
            raise
        try:
            return await self._take(cell, work, deadline, asker, control=control)
        finally:
            end_ask(asker, cell)

    async def _take(
        self,
        cell: Cell[S],
        work: Callable[[S], Awaitable[T]],
        deadline: float | None,
        asker: Turn | None,
        *,
        control: bool,
    ) -> T:
        if cell.turn is None:
            turn = self._turnstile.enter_nowait(cell, asker)
        else:
            turn = await self._turnstile.enter(cell, asker, deadline, control=control)
            self._yield_at = self._turns + FAIRNESS_TURNS  # it suspended: others had their chance
        token = HELD.set(turn)
        cell.touched = self._population.tick
        try:
            if self._quarantine.sick and not control:
                self._refuse_resting(cell.key)
            if cell.state is VACANT:
                await self._fill(cell, turn, deadline)
            result = await work(cell.state)
            if self._quarantine.sick:
                self._quarantine.succeeded(cell.key, self._clock.now())
            return result
        except BaseException as error:
            if is_crash(error):
                self.reset(cell.key, error)
            raise
        finally:
            self._turnstile.leave(cell, turn)
            HELD.reset(token)

    def _admit(self, key: str, deadline: float | None, *, nested: bool, control: bool) -> Cell[S]:
        """The cell of `key`, made if need be; refuses what can be refused without waiting."""
        if self._draining and (self._closed or not (nested or control)):
            raise self._refusals.draining(key)
        if deadline is not None and deadline < math.inf and self._clock.now() > deadline:
            raise self._refusals.too_late(key, "before it was asked")
        cell = self._cells.get(key)
        return cell if cell is not None else self._new(key, control=control)

    def _new(self, key: str, *, control: bool) -> Cell[S]:
        if self._quarantine.sick and not control:
            self._refuse_resting(key)
        maximum = self.limits.cells_max
        roomy = len(self._cells) < maximum or self._population.make_room(maximum)
        if not roomy and not control:
            raise self._refusals.overloaded(key, "cells_max", maximum, self.limits.turn_wait_s)
        return self._population.add(key)

    def _refuse_resting(self, key: str) -> None:
        left_s = self._quarantine.rest_left_s(key, self._clock.now())
        if left_s > 0.0:
            raise self._refusals.quarantined(key, self._quarantine.sick[key].cause, left_s)

    # --- activation ------------------------------------------------------------------------

    async def _fill(self, cell: Cell[S], turn: Turn, deadline: float | None) -> None:
        """Activate `cell` within `turn`, among at most `activations_max` at once."""
        until = self._clock.now() + self.limits.turn_wait_s if deadline is None else deadline
        # An activation that asks for another one here must not wait for its own permit.
        admitted = turn.is_within_activation(self)
        with anyio.CancelScope(deadline=until):
            if not admitted:
                await self._permits.acquire()
                turn.activating_in = self
            try:
                await self._fill_admitted(cell)
            finally:
                if not admitted:
                    turn.activating_in = None
                    self._permits.release()
        if cell.state is VACANT:
            raise self._refusals.too_late(cell.key, "while it was activated")

    async def _fill_admitted(self, cell: Cell[S]) -> None:
        while cell.state is VACANT:
            incarnation = cell.incarnation
            try:
                state = await self._activate(cell.key)
            except Exception:
                self._count.activation_failures += 1
                raise
            if cell.incarnation == incarnation:  # else reset meanwhile: what was read is stale
                self._population.settle(cell, state)

    # --- forgetting ------------------------------------------------------------------------

    def incarnation(self, key: str) -> int | None:
        """Number of the current state of `key`: grows with every reset, never comes back."""
        cell = self._cells.get(key)
        return None if cell is None else cell.incarnation

    def reset(self, key: str, cause: BaseException | str) -> None:
        """Let it crash: forget the state of `key`; the next turn activates it again.

        A `cause` that is a crash counts towards quarantine; an EventspineError, a cancellation
        or a text does not. A turn that is running keeps the state it was given.
        """
        if isinstance(cause, BaseException) and is_crash(cause):
            self._count.crashes += 1
            self._quarantine.crashed(key, repr(cause), self._clock.now())
        if (cell := self._cells.get(key)) is not None:
            self._population.reset(cell)

    def reset_all(self, cause: BaseException | str) -> None:
        """Forget every state, as after the loss of what all of them were read from.

        Counts towards nobody's quarantine: what hits all keys is not the fault of one.
        """
        _log.warning("%s: all %d cells are reset: %r", self.name, len(self._cells), cause)
        self._population.reset_all(self._turnstile.running)

    async def passivate_idle(self, *, task_status: TaskStatus[None]) -> None:
        """A service for the supervisor: forget cells nobody used for `limits.idle_s_max`.

        Runs until cancelled. A million cells are looked at 256 at a time.
        """
        ticks = deque([self._population.next_tick()], maxlen=IDLE_STEPS + 1)
        task_status.started()
        while True:
            await anyio.sleep(self.limits.idle_s_max / IDLE_STEPS)
            ticks.append(self._population.next_tick())
            if len(ticks) > IDLE_STEPS:
                for _ in self._population.passivate_untouched_since(ticks[0]):
                    await checkpoint()

    async def drain(self, deadline: float) -> None:
        """Refuse new turns, let those in line run until `deadline`, then passivate everything.

        Asks from inside a running turn and the control lane are admitted while it lasts. At the
        deadline whoever waits is refused (never ran); what runs is its caller's to cancel.
        `may_passivate` is not asked: nothing will run here again.
        """
        self._draining, self._live = True, {}
        await self._turnstile.wait_quiet(deadline)
        self._closed = True
        for _ in self._population.passivate_all():
            await checkpoint()

    # --- what it looks like ----------------------------------------------------------------

    def statistics(self) -> DirectoryStatistics:
        sick = self._quarantine.sick
        return DirectoryStatistics(
            name=self.name,
            cells_now=len(self._cells),
            activated_now=len(self._population.recency),
            running_now=len(self._turnstile.running),
            activations_waiting_now=self._permits.waiting,
            sick_keys_now=len(sick),
            quarantined_keys_now=self._quarantine.resting(self._clock.now()) if sick else 0,
            turns=self._turns,
            turn_wait=self._turnstile.wait.statistics(),
            turn_hold=self._turnstile.hold.statistics(),
            counters=self._count.copy(),
        )

    def snapshot(self, key: str) -> CellSnapshot | None:
        """One key as it is now, for explain; None when nothing is known of it."""
        cell, sickness = self._cells.get(key), self._quarantine.sick.get(key)
        if cell is None and sickness is None:
            return None
        return CellSnapshot.of(key, cell, sickness, self._clock.now())
