"""The routing registry: which backend serves which scope. No route, no service.

Job: keep the rows (revisioned, compare-and-set, survives restart), resolve a scope to one of them,
guard which backend may serve which mode, remember every change. The most specific row wins; see
RouteKey.rows. Source: DESIGN decision 11; R-01 … R-04, R-08 … R-10; Q10, Q15.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio

from eventspine.contracts.backends import Backends
from eventspine.contracts.errors import (
    RouteConflict,
)
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import (
    ResourceRoute,
    RouteKey,
    RouteSpec,
)
from eventspine.contracts.route_change import (
    Action,
    RouteChange,
    RowChange,
    difference,
)
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.settings import RoutingSettings
from eventspine.services.routing.history import RouteHistory, restored
from eventspine.services.routing.lookups import RouteLookups
from eventspine.services.routing.trial import Trial

Changed = Callable[[RouteKey], Awaitable[None]]
Rows = Mapping[RouteKey, RouteSpec | None]


class RouteService(RouteLookups):
    """The registry of one root. Lookups are answered from memory; changes are durable first."""

    def __init__(
        self, store: RegistryStore, backends: Backends[Any], settings: RoutingSettings
    ) -> None:
        self._store = store
        self._backends = backends
        super().__init__(settings)
        self._lock = anyio.Lock()
        self._listeners: list[Changed] = []
        self._scopes: list[Callable[[], set[RouteKey]]] = []
        self.history = RouteHistory(store.history)

    async def load(self) -> None:
        self._adopt(await self._store.load())
        await self.history.load(self.revision)

    def on_change(
        self, listener: Changed, scopes: Callable[[], set[RouteKey]] | None = None
    ) -> None:
        """Be told of every changed key, after the change is durable and its owner has swapped.

        Args:
            scopes: the scopes that the listener has resolved and keeps.
        """
        self._listeners.append(listener)
        if scopes is not None:
            self._scopes.append(scopes)

    # --- changes ---

    async def create(self, spec: RouteSpec, by: str | None = None) -> ResourceRoute:
        """A new route. Raises RouteConflict when the key has one."""
        async with self._lock:
            self._expect_none(spec.key)
            await self._change("create", {spec.key: spec}, by, spec.reason)
            return self.get(spec.key)

    async def update(
        self, spec: RouteSpec, if_revision: int | None = None, by: str | None = None
    ) -> ResourceRoute:
        """Another backend or config for a key, if its route is still at `if_revision`."""
        async with self._lock:
            self._expect(self.get(spec.key), if_revision)
            await self._change("update", {spec.key: spec}, by, spec.reason)
            return self.get(spec.key)

    async def delete(
        self,
        key: RouteKey,
        if_revision: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Remove a route. What is stored behind it stays where it is."""
        async with self._lock:
            self._expect(self.get(key), if_revision)
            await self._change("delete", {key: None}, by, reason)

    async def rollback(
        self,
        to: int,
        if_revision: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> RouteChange | None:
        """Every row as it was at revision `to`, under a new revision. None: nothing differs.

        Raises:
            RevisionGone: the history does not reach back to it.
            RouteConflict: the registry is not at `if_revision`.
        """
        async with self._lock:
            self._expect_registry(if_revision)
            rows = restored(await self._store.history(), self._by_key, to, self.revision)
            return await self._change("rollback", rows, by, reason or f"back to revision {to}")

    def plan(self, file: RouteFile) -> Sequence[RowChange]:
        """What `apply` would change, row by row. Raises what it would raise."""
        return [self._row(key, spec, None) for key, spec in self._planned(file).items()]

    async def apply(
        self, file: RouteFile, by: str | None = None, reason: str | None = None
    ) -> RouteChange | None:
        """Make the registry what the file says, in one revision. None: it is that already.

        Raises:
            RouteConflict: the registry has moved on from the serial of the file, or it has none.
        """
        async with self._lock:
            if file.serial is None:
                raise RouteConflict(
                    "the file names no serial: the revision it is meant for", revision=self.revision
                )
            self._expect_registry(file.serial)
            return await self._change("apply", self._planned(file), by, reason)

    async def dry_run(
        self, spec: RouteSpec, if_revision: int | None = None, *, create: bool
    ) -> Trial:
        """What `create` or `update` would do, the backend tried and nothing changed."""
        if create:
            self._expect_none(spec.key)
        else:
            self._expect(self.get(spec.key), if_revision)
        row = self._row(spec.key, spec, None)
        assert row.after is not None
        probe = await self._backends.probe(row.after)
        used = set[RouteKey]().union(*[scopes() for scopes in self._scopes])
        moves = sorted(key for key in used if self._moves(key, spec))
        return Trial(self.revision, "create" if create else "update", row.diff, probe, moves)

    def _planned(self, file: RouteFile) -> dict[RouteKey, RouteSpec | None]:
        wanted = file.by_key()
        rows: dict[RouteKey, RouteSpec | None] = {
            key: None for key in self._by_key if key not in wanted
        }
        for key, spec in wanted.items():
            self._check(spec)
            if difference(self.find(key), spec):
                rows[key] = spec
        return rows

    def _check(self, spec: RouteSpec) -> None:
        self.guard(spec)
        self._backends.check(spec.resource_kind.value, spec.backend_type, spec.config)

    def _row(self, key: RouteKey, spec: RouteSpec | None, by: str | None) -> RowChange:
        """A row before and after. Raises what keeps it from being written."""
        after = None
        if spec is not None:
            self._check(spec)
            after = ResourceRoute(
                **spec.model_dump(),
                revision=self.revision + 1,
                updated_at=datetime.now(UTC),
                updated_by=by,
            )
        before = self.find(key)
        return RowChange(before=before, after=after, diff=difference(before, after))

    async def _change(
        self, action: Action, rows: Rows, by: str | None, reason: str | None
    ) -> RouteChange | None:
        if not rows:
            return None
        change = RouteChange(
            revision=self.revision + 1,
            action=action,
            at=datetime.now(UTC),
            by=by,
            reason=reason,
            rows=tuple(self._row(key, spec, by) for key, spec in rows.items()),
        )
        others = tuple(route for route in self._image.routes if route.key not in rows)
        written = tuple(row.after for row in change.rows if row.after is not None)
        image = RegistryImage(change.revision, (*others, *written))
        with anyio.CancelScope(shield=True):  # saved and unknown to ourselves would be a lie
            await self._store.save(image, replaces=self.revision, change=change)
            self._adopt(image)
            self.history.add(change)
            for key in rows:
                await self._tell(key)
        return change

    async def _tell(self, key: RouteKey) -> None:
        if self._owners is not None:
            await self._owners.changed(key)
        for listener in self._listeners:
            await listener(key)
