"""MemoryExpiry: sweeps namespaces of the memory store, and tells what has expired.

Job: every namespace that was used and has something that ends is swept when it is due: its owner
writes down what has expired, then an event `memory.expired` for each goes to the stream
`memory_{namespace}` of the same scope, then its owner writes down that they were told.
Rules:
- The owner decides once, in order of expiry. The event's id is made of what expired, so that
  telling it again after a crash between the two stores nothing twice.
- Where the scope has no route for streams, or its stream takes no such event, nobody is told.
- A namespace is known from its first use by this process on; one nobody uses is swept then.
Source: KIND-06, DESIGN decision 10.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventspine.actors.states.memory import EXPIRE_MAX, Memory
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.entries import Expired, Room
from eventspine.contracts.errors import CallerError, EventspineError, NoRouteConfigured
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.services.journals import Journals
from eventspine.services.memory_tenants import MemoryTenants

log = logging.getLogger(__name__)
NAMESPACES_MAX = 100_000
EVENT_TYPE = "memory.expired"
Append = Callable[[str, Sequence[dict[str, Any]], RequestContext], Awaitable[object]]


class _Known(NamedTuple):
    scope: Scope
    namespace: str


class _Swept(NamedTuple):
    expired: list[Expired]
    untold: list[Expired]


class MemoryExpiry:
    """Args: append: how events get into a stream, all of them or none."""

    def __init__(
        self, journals: Journals, tenants: MemoryTenants, append: Append, limits: Limits
    ) -> None:
        self._journals = journals
        self._tenants = tenants
        tenants.found, tenants.sweep = self.note, self.sweep_tenant
        self._append = append
        self._room = Room(limits.memory_entries_max, limits.memory_bytes_max)
        self._batch = min(EXPIRE_MAX, limits.batch_events_max)
        self._pause_s = limits.memory_sweep_s
        self._due: dict[_Known, str] = {}
        self._noted = anyio.Event()

    def note(self, scope: Scope, namespace: str, due: str | None) -> None:
        """Something in this namespace ends then; None: nothing does."""
        if due is None:
            return
        known = _Known(scope, namespace)
        before = self._due.get(known)
        if before is None and len(self._due) >= NAMESPACES_MAX:
            return  # it is swept once there is room, with its next use
        if before is None or due < before:
            self._due[known] = due
            self._noted.set()

    async def sweep(self, scope: Scope, namespace: str) -> list[Expired]:
        """Write down and tell all that has expired by now; answers what this call wrote down.

        Raises:
            BackendError, OwnerError: it was not done, or not all of it; the next sweep goes on.
        """
        context = RequestContext(**scope._asdict())
        expired: list[Expired] = []
        while True:
            swept = await self._ask(namespace, context, self._decide(self._journals.now()))
            expired += swept.expired
            if not swept.untold:
                return expired
            await self._tell(namespace, context, swept.untold)
            await self._told(namespace, context, swept.untold[-1].version)

    async def sweep_tenant(self, tenant_id: str) -> bool:
        """Sweep what is due in all namespaces of a tenant; whether that has made room."""
        now, swept = self._journals.now(), False
        for known in [known for known, due in self._due.items() if due <= now]:
            if known.scope.tenant_id == tenant_id and await self.sweep(*known):
                swept = True
        return swept

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """A service for the supervisor: sweeps what is due, until cancelled."""
        task_status.started()
        while True:
            if not self._due:
                self._noted = anyio.Event()
                await self._noted.wait()
            await anyio.sleep(self._pause_s)
            await self._sweep_due()

    async def _sweep_due(self) -> None:
        now = self._journals.now()
        for known in [known for known, due in self._due.items() if due <= now]:
            del self._due[known]
            try:
                await self.sweep(*known)
                await self._look(known)
            except EventspineError as error:
                log.warning("memory %s: the sweep goes on later: %s", known.namespace, error)
                self.note(*known, now)

    async def _look(self, known: _Known) -> None:
        """Learn when the next entry of a namespace ends."""
        context = RequestContext(**known.scope._asdict())
        due = await self._ask(known.namespace, context, lambda memory: Decision((), memory.due))
        self.note(*known, due)

    def _decide(self, now: str) -> Callable[[Memory], Decision[_Swept]]:
        def decide(memory: Memory) -> Decision[_Swept]:
            records, expired = memory.expire(now, self._room, self._batch)
            untold = [*memory.unannounced.values(), *expired]
            return Decision(records, _Swept(expired, untold[: self._batch]))

        return decide

    async def _tell(
        self, namespace: str, context: RequestContext, expired: Sequence[Expired]
    ) -> None:
        events = [_event(namespace, one) for one in expired]
        try:
            await self._append(stream_of(namespace), events, context)
        except NoRouteConfigured:
            pass
        except CallerError as error:
            log.warning(
                "memory %s: %d expired, and no event says so: %s", namespace, len(events), error
            )

    async def _told(self, namespace: str, context: RequestContext, version: int) -> None:
        now = self._journals.now()
        await self._ask(namespace, context, lambda memory: memory.announced(version, now))

    async def _ask(self, namespace: str, context: RequestContext, decide: Any) -> Any:
        return await self._tenants.ask(namespace, context, decide)


def stream_of(namespace: str) -> str:
    """The stream that tells what expires in a namespace. Raises InvalidId: it is too long."""
    return checked_id(f"memory_{namespace}", "memory_{namespace}")


def _event(namespace: str, one: Expired) -> dict[str, Any]:
    what = "\0".join([namespace, one.key, str(one.version), one.expires_at])
    return {
        "event_type": EVENT_TYPE,
        "event_id": f"expired-{hashlib.sha256(what.encode()).hexdigest()[:40]}",
        "payload": {
            "namespace": namespace,
            "key": one.key,
            "version": one.version,
            "expires_at": one.expires_at,
        },
    }
