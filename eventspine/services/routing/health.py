"""HealthWatch: looks after the backends that routes lead to, and knows the health of every route.

Job: see that each open backend still stores, by what it stored anyway or, where that was nothing
for `probe_every_s`, by a sentinel (actors/probe.py); try again behind an open circuit.
Rules:
- A store that is gone is its supervisor's to open again; nobody probes it meanwhile.
- A backend is probed only in a mode that the mode guard lets have it.
- A sentinel that hangs fails after `probe_s_max`, and stays where it is: no second one is sent
  after it, each further deadline is one more failure, and its end, whenever it comes, is news.
- A backend that answers at once that it cannot (it is full, one stream is damaged) is no outage:
  that is noted, and the circuit stays closed.
Source: SYS-24; DESIGN decision 4.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from eventspine.actors.backend_health import BackendHealth
from eventspine.actors.host import StreamHost
from eventspine.actors.probe import probe
from eventspine.actors.route import RouteActors
from eventspine.contracts.circuit import CIRCUIT_STATES, CircuitState
from eventspine.contracts.errors import EventspineError, OutcomeUnknown, StoreUnavailable
from eventspine.contracts.route import ResourceRoute, RouteKey
from eventspine.contracts.settings import RoutingSettings
from eventspine.services.routing.lookups import RouteLookups

OUTAGES = (OSError, TimeoutError, StoreUnavailable, OutcomeUnknown)
SOON_S = 1.0  # until the next look at a backend that has failed
JITTER = 0.25  # so much of a pause is left to chance
ROUTES_TOLD_MAX = 20
Told = Callable[[BackendHealth, CircuitState, "list[RouteKey]"], None]


class _Watched:
    def __init__(self, host: StreamHost) -> None:
        self.host = host
        self.due_s = -math.inf
        self.looking = False
        self.trial: anyio.Event | None = None  # set when the sentinel that is on its way ends
        self.stored: tuple[object, int] = (None, 0)


class HealthWatch:
    """Args: told: of every change of a circuit, with the routes behind it."""

    def __init__(
        self,
        routes: RouteLookups,
        actors: RouteActors[StreamHost],
        settings: RoutingSettings,
        rng: random.Random | None = None,
    ) -> None:
        self._routes = routes
        self._actors = actors
        self._settings = settings
        self._rng = rng or random.Random()
        self._watched: list[_Watched] = []
        self._news = anyio.Event()
        self.told: Told = lambda health, before, keys: None

    def watch(self, host: StreamHost) -> None:
        """A backend was opened; from now on it is looked after."""
        one = _Watched(host)
        one.due_s = anyio.current_time() + self._pause_s()
        self._watched.append(one)

        def changed(health: BackendHealth, before: CircuitState) -> None:
            if health.circuit.state == "closed" and health.circuit.failures:
                one.due_s = anyio.current_time() + self._jittered(SOON_S)
            self._news.set()
            self.told(health, before, [route.key for route in self._routes_of(host)])

        host.health.listeners.append(changed)
        self._news.set()

    def tell_of_outages(self) -> None:
        """Tell of backends that could not be opened at the start, now that routes lead there."""
        for one in self._watched:
            health = one.host.health
            if health.circuit.state != "closed":
                self.told(health, "closed", [route.key for route in self._routes_of(one.host)])

    def routes_by_state(self) -> dict[str, int]:
        """How many routes have a backend whose circuit is in each state, and how many none."""
        counts = dict.fromkeys((*CIRCUIT_STATES, "unused"), 0)
        for route in self._routes.list():
            host = self._actors.handle(route.key)
            counts["unused" if host is None else host.health.circuit.state] += 1
        return counts

    # --- the service ---

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service for the supervisor. Runs until cancelled."""
        for one in self._watched:  # of an incarnation that is gone
            one.looking, one.trial = False, None
        async with anyio.create_task_group() as tasks:
            task_status.started()
            while True:
                self._news = anyio.Event()
                with anyio.CancelScope(deadline=self._begin_due(tasks, anyio.current_time())):
                    await self._news.wait()

    def _begin_due(self, tasks: TaskGroup, now: float) -> float:
        """Begin the looks that are due; answers when the next is, in the loop's time."""
        next_s, room = math.inf, self._settings.probes_at_once
        room -= sum(one.looking for one in self._watched)
        for one in self._watched:
            if one.looking or one.host.store is None:
                continue
            due_s = self._due_s(one)
            if due_s > now:
                next_s = min(next_s, due_s)
            elif room > 0:  # else it is begun when one of the others ends
                one.looking, room = True, room - 1
                tasks.start_soon(self._look, one, tasks)
        return next_s

    def _due_s(self, one: _Watched) -> float:
        next_try_s = one.host.health.circuit.next_try_s
        return one.due_s if next_try_s is None else next_try_s

    async def _look(self, one: _Watched, tasks: TaskGroup) -> None:
        health = one.host.health
        if health.circuit.state == "closed" and self._has_stored(one):
            health.worked()
        else:
            await self._probe(one, tasks)
        one.stored = _stored(one.host)
        pause_s = self._jittered(SOON_S) if health.circuit.failures else self._pause_s()
        one.due_s, one.looking = anyio.current_time() + pause_s, False
        self._news.set()

    def _has_stored(self, one: _Watched) -> bool:
        writer, batches = _stored(one.host)
        return batches > (one.stored[1] if writer is one.stored[0] else 0)

    # --- the sentinel ---

    async def _probe(self, one: _Watched, tasks: TaskGroup) -> None:
        route = next(self._routes_of(one.host), None)
        if route is None:
            return
        one.host.health.trying()
        if one.trial is None:
            one.trial = anyio.Event()
            tasks.start_soon(self._try, one, route.mode, one.trial)
        trial, limit_s = one.trial, self._settings.probe_s_max
        with anyio.move_on_after(limit_s):
            await trial.wait()
        if not trial.is_set() and one.host.store is not None:
            one.host.health.failed(TimeoutError(f"a probe had no answer within {limit_s:g} s"))

    async def _try(self, one: _Watched, mode: str, ended: anyio.Event) -> None:
        health = one.host.health
        try:
            await probe(one.host, mode, [], deadline_s=math.inf)
            health.worked()
        except (EventspineError, *OUTAGES) as error:
            if not isinstance(error, OUTAGES):
                health.noted(error)
            elif one.host.store is not None:  # else its owner has told already
                health.failed(error)
        finally:
            one.trial = None
            ended.set()
            self._news.set()

    def _routes_of(self, host: StreamHost) -> Iterator[ResourceRoute]:
        """The routes that this backend serves, and may."""
        for route in self._routes.list():
            if self._actors.handle(route.key) is host and self._routes.may_serve(route):
                yield route

    def _pause_s(self) -> float:
        return self._jittered(self._settings.probe_every_s)

    def _jittered(self, pause_s: float) -> float:
        return pause_s * (1.0 - JITTER * self._rng.random())


def _stored(host: StreamHost) -> tuple[object, int]:
    """The present writer of a backend, and how often it has stored something."""
    writer = host.writer
    return writer, 0 if writer is None else writer.statistics().batches


def told_routes(keys: Sequence[RouteKey]) -> dict[str, object]:
    """The routes behind a backend, as an event says them: the first few, and how many."""
    return {
        "routes": ["/".join(key) for key in keys[:ROUTES_TOLD_MAX]],
        "routes_total": len(keys),
    }
