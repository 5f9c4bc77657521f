"""MemoryTenants: the way to a namespace of the memory, past the limits of its tenant.

Job: before a tenant's memory grows for the first time, count what it holds: every namespace on
every backend that its routes lead to. From then on each decision finds the exact sum, because every
decision on a namespace goes this way.
Rules:
- A limit is of a tenant: all its envs, projects, surfaces and namespaces together.
- What is counted is forgotten, and counted again, when a backend has forgotten its actors (a commit
  failed: states went back to what is on the disk) or the registry has changed.
- A backend that cannot be counted refuses what would grow: what cannot be known is not allowed.
- What has expired in other namespaces makes room: they are swept before a write is refused.
Source: KIND-06, DESIGN decisions 3 and 5.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from eventspine.actors.host import StreamHost
from eventspine.actors.journal import JournalActor
from eventspine.actors.journal_anew import SIDES
from eventspine.actors.route import RouteActors
from eventspine.actors.states.memory import Memory
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.entries import TENANT_LIMITS, Room
from eventspine.contracts.errors import BackendRefusedInMode, MemoryFull, UnsupportedBackend
from eventspine.contracts.ids import id_of_segment, path_segment
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import WILDCARD, ResourceKind, RouteKey
from eventspine.services.journals import Journals
from eventspine.services.memory_tally import MemoryTally, Place
from eventspine.services.routing.service import RouteService

A = TypeVar("A")
KIND = ResourceKind.MEMORY_STORE
TENANTS_MAX = 10_000
Found = Callable[[Scope, str, str | None], None]


class _Uncounted:
    """The answer of a decision that was not made, because the tenant has to be counted first."""


_UNCOUNTED = _Uncounted()


class MemoryTenants:
    def __init__(
        self,
        journals: Journals,
        routes: RouteService,
        actors: RouteActors[StreamHost],
        limits: Limits,
    ) -> None:
        self._journals = journals
        self._routes = routes
        self._actors = actors
        self._limits = limits
        self._tallies: dict[str, MemoryTally] = {}
        self._counting = anyio.Lock()
        self._hosts: dict[str, StreamHost] = {}
        self.found: Found = lambda scope, namespace, due: None
        self.sweep: Callable[[str], Awaitable[bool]] | None = None
        routes.on_change(self._route_changed)

    async def ask(
        self, namespace: str, context: RequestContext, decide: Callable[[Memory], Decision[A]]
    ) -> A:
        """Decide on a namespace what does not let it grow."""
        tenant, (_, place) = context.tenant_id, await self._place(namespace, context)

        def noted(memory: Memory) -> Decision[A]:
            tally = self._tallies.get(tenant)
            if tally is not None:
                tally.look(place, memory)
            return decide(memory)

        return await self._journals.ask(KIND, namespace, context, noted)

    async def grow(
        self, namespace: str, context: RequestContext, decide: Callable[[Memory, Room], Decision[A]]
    ) -> A:
        """Decide on a namespace what may let it grow, within what its tenant has left.

        Raises:
            MemoryFull, TooLarge: the namespace, or the tenant, has no room.
        """
        try:
            return await self._grow(namespace, context, decide)
        except MemoryFull as full:
            if full.fields["limit"] not in TENANT_LIMITS or self.sweep is None:
                raise
            if not await self.sweep(context.tenant_id):
                raise
        return await self._grow(namespace, context, decide)

    async def _grow(
        self, namespace: str, context: RequestContext, decide: Callable[[Memory, Room], Decision[A]]
    ) -> A:
        tenant = context.tenant_id
        while True:
            host, place = await self._place(namespace, context)

            def noted(memory: Memory, place: Place = place) -> Decision[A | _Uncounted]:
                tally = self._counted(tenant, place[0])
                if tally is None:
                    return Decision((), _UNCOUNTED)
                found: Decision[Any] = decide(memory, self._room(tally, place, memory))
                return found

            answer = await self._journals.ask(KIND, namespace, context, noted)
            if not isinstance(answer, _Uncounted):
                return answer
            await self._count(tenant, host)

    # --- what is counted ---

    def _room(self, tally: MemoryTally, place: Place, memory: Memory) -> Room:
        limits, others = self._limits, tally.look(place, memory)
        return Room(
            limits.memory_entries_max,
            limits.memory_bytes_max,
            limits.memory_entries_per_tenant_max,
            limits.memory_bytes_per_tenant_max,
            others.entries,
            others.bytes,
        )

    def _counted(self, tenant: str, backend: str) -> MemoryTally | None:
        """The tally, if it says what is there, this backend included."""
        tally = self._tallies.get(tenant)
        if tally is None or not tally.complete or backend not in tally.backends:
            return None
        for name, forgotten in tally.backends.items():
            if self._hosts[name].forgotten != forgotten:
                return None
        return tally

    async def _count(self, tenant: str, host: StreamHost) -> None:
        """Know what a tenant holds. Costs nothing once it is known."""
        if self._counted(tenant, host.name) is not None:
            return
        async with self._counting:
            if self._counted(tenant, host.name) is not None:
                return
            hosts = {host.name: host, **await self._backends(tenant)}
            self._hosts.update(hosts)
            if len(self._tallies) >= TENANTS_MAX:
                self._tallies.clear()
            # kept from here on, so that what shrinks meanwhile is noticed
            tally = MemoryTally({name: one.forgotten for name, one in hosts.items()})
            self._tallies[tenant] = tally
            prefix = f"{KIND.value}/{path_segment(tenant)}/"
            for one in hosts.values():
                for key in await one.open_store().keys(prefix):
                    if not key.endswith(SIDES):  # a copy of a namespace, or what is left of one
                        await self._look(tally, one, key)
            tally.complete = True

    async def _look(self, tally: MemoryTally, host: StreamHost, key: str) -> None:
        async def look(actor: JournalActor[Memory]) -> tuple[str | None, str | None]:
            tally.look((host.name, key), actor.state)
            return actor.mode, actor.state.due

        mode, due = await host.journals[KIND.value].directory.turn(key, look)
        named = _named(key, mode)
        if named is not None:
            self.found(*named, due)

    async def _backends(self, tenant: str) -> dict[str, StreamHost]:
        """Every backend that a route leads the tenant's memory to."""
        hosts: dict[str, StreamHost] = {}
        for route in self._routes.list():
            if route.resource_kind is not KIND or route.tenant_id not in (tenant, WILDCARD):
                continue
            try:
                self._routes.guard(route)
                owner = await self._actors.resolve(route.key)
            except (BackendRefusedInMode, UnsupportedBackend):
                continue  # nobody can use it
            hosts[owner.handle.name] = owner.handle
        return hosts

    async def _place(self, namespace: str, context: RequestContext) -> tuple[StreamHost, Place]:
        host, prefix = await self._journals.place(KIND, context)
        return host, (host.name, prefix + path_segment(namespace))

    async def _route_changed(self, key: RouteKey) -> None:
        if key.resource_kind == KIND.value:
            self._tallies.clear()


def _named(key: str, mode: str | None) -> tuple[Scope, str] | None:
    """The scope and the namespace of a key; None where the key was cut, or nothing is in it."""
    _, tenant, env, where, namespace = key.split("/")
    surface, _, project = where.partition("@")
    parts = [tenant, env, surface, namespace, *([project] if project else [])]
    ids = [id_of_segment(part) for part in parts]
    if mode is None or None in ids:
        return None
    known = [one for one in ids if one is not None]
    scope = Scope(known[0], known[1], mode, surface_id=known[2])
    return (scope._replace(project_id=known[4]) if project else scope), known[3]
