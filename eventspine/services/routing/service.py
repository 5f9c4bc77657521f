"""The routing registry: which backend serves which scope. No route, no service.

Job: keep the rows (revisioned, compare-and-set, survives restart), resolve a scope to one of them,
guard which backend may serve which mode, remember every change. The most specific row wins; see
RouteKey.rows. Source: DESIGN decision 11; R-01 … R-04, R-08 … R-10; Q10, Q15.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio

from eventspine.contracts.backends import Backends
from eventspine.contracts.declared import Declared
from eventspine.contracts.errors import (
    BackendNotDeclared,
    InvalidRoute,
    RouteConflict,
    RouteNotEditable,
    SecretUnavailable,
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
from eventspine.contracts.system_routes import REGISTRY_KEY, registry_row
from eventspine.services.routing.history import RouteHistory, restored
from eventspine.services.routing.lookups import RouteLookups
from eventspine.services.routing.trial import Trial

Changed = Callable[[RouteKey], Awaitable[None]]
R = TypeVar("R", bound=RouteSpec)
Rows = Mapping[RouteKey, RouteSpec | None]
Held = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


class ChangeAudit(Protocol):
    """Who records changes: eventspine.services.routing.audited.RoutingAudit."""

    async def intended(self, change: RouteChange) -> None: ...
    async def ended(self, change: RouteChange, error: Exception | None = None) -> None: ...


class Unrecorded:
    """Of a root that is not open: its history alone has what changed."""

    async def intended(self, change: RouteChange) -> None: ...
    async def ended(self, change: RouteChange, error: Exception | None = None) -> None: ...


class RouteService(RouteLookups):
    """The registry of one root. Lookups are answered from memory; changes are durable first."""

    def __init__(
        self,
        store: RegistryStore,
        backends: Backends[Any],
        settings: RoutingSettings,
        declared: Declared | None = None,
    ) -> None:
        self._store = store
        self._backends = backends
        super().__init__(settings, declared)
        self._edits: Callable[[], Awaitable[None]] | None = None
        self._lock = anyio.Lock()
        self._listeners: list[Changed] = []
        self._scopes: list[Callable[[], set[RouteKey]]] = []
        self._forgetting: list[Callable[[], None]] = []
        self.switch_store = store
        self.refuse_change: Callable[[RouteKey], None] = lambda key: None
        self.left_behind: Callable[[ResourceRoute], Awaitable[int]] | None = None
        self.history = RouteHistory(store.history)
        self.audit: ChangeAudit = Unrecorded()

    async def load(self) -> None:
        image = await self._store.load()
        await self.history.load(image.revision)
        self._adopt(image)

    def _adopt(self, image: RegistryImage) -> None:
        super()._adopt(image)
        if image.revision:  # else nobody has written it yet
            times = [route.updated_at for route in image.routes]
            at = max(times, default=datetime.now(UTC))
            store = self._store
            self.own = registry_row(store.backend_type, dict(store.config), image.revision, at)

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

    def on_hold(self, forget: Callable[[], None]) -> None:
        """Have `forget` drop what was resolved, whenever a switch holds a route."""
        self._forgetting.append(forget)

    def forget_resolved(self) -> None:
        """Every scope is resolved again, by the owner of its row: in one go, nothing awaits."""
        for forget in self._forgetting:
            forget()

    # --- edits of files ---

    def preceded_by(self, take: Callable[[], Awaitable[None]]) -> None:
        """Who takes edits of files, in the turn of every change and before it: RouteEdits."""
        self._edits = take

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One change at a time, on top of what was edited meanwhile. Raises what taking raises."""
        async with self._lock:
            if self._edits is not None:
                await self._edits()
            yield

    async def edit(self, file: RouteFile, by: str, *, follows: bool) -> bool:
        """Make the registry what an edited file says, in the turn that took it.

        Args:
            follows: whether it was made from the registry as it is.

        Returns:
            Whether that changed anything.

        Raises:
            RouteConflict: it was not, and differs.
        """
        rows = self._planned(file)
        if rows and not follows:
            raise RouteConflict(
                f"it is for revision {file.serial}, the registry is at {self.revision}",
                revision=self.revision,
            )
        return await self._change("edit", rows, by, None) is not None

    async def put_back(self, *, keep: bool) -> None:
        """Have the registry where it is stored again; with `keep`, set aside what is there."""
        with anyio.CancelScope(shield=True):
            await self._store.put_back(self._image, keep=keep)

    # --- changes ---

    async def create(self, spec: RouteSpec, by: str | None = None) -> ResourceRoute:
        """A new route. Raises RouteConflict when the key has one."""
        async with self.turn():
            self._expect_none(spec.key)
            await self._change("create", {spec.key: spec}, by, spec.reason)
            return self.get(spec.key)

    async def update(
        self, spec: RouteSpec, if_revision: int | None = None, by: str | None = None
    ) -> ResourceRoute:
        """Another backend or config for a key, if its route is still at `if_revision`."""
        async with self.turn():
            self._expect(self.get(spec.key), if_revision)
            await self._change("update", {spec.key: spec}, by, spec.reason)
            return self.get(spec.key)

    async def switch(self, spec: RouteSpec, if_revision: int, by: str | None, hold: Held) -> None:
        """The change that a switch makes. `hold` is handed what saves it, and swaps the owner."""
        async with self.turn():
            self._expect(self.get(spec.key), if_revision)
            change = self._change_of("switch", {spec.key: spec}, by, spec.reason)
            await self.audit.intended(change)
            try:
                await hold(partial(self._save, change))
            except Exception as error:
                await self.audit.ended(change, error)
                raise
            await self._tell_listeners(spec.key)
            await self.audit.ended(change)

    async def delete(
        self,
        key: RouteKey,
        if_revision: int | None = None,
        by: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Remove a route. What is stored behind it stays where it is."""
        async with self.turn():
            _refuse_registry(key)
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
        async with self.turn():
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
        async with self.turn():
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
        before, behind = row.before, None
        if before is not None and self.left_behind is not None and _leads_elsewhere(before, spec):
            behind = await self.left_behind(before)
        used = set[RouteKey]().union(*[scopes() for scopes in self._scopes])
        moves = sorted(key for key in used if self._moves(key, spec))
        return Trial(
            self.revision, "create" if create else "update", row.diff, probe, moves, behind
        )

    def _planned(self, file: RouteFile) -> dict[RouteKey, RouteSpec | None]:
        wanted = file.by_key()
        registry = wanted.get(REGISTRY_KEY)
        if registry is not None and self.own is not None and not difference(self.own, registry):
            del wanted[REGISTRY_KEY]  # as it is listed; it says nothing else
        rows: dict[RouteKey, RouteSpec | None] = {
            key: None for key in self._by_key if key not in wanted
        }
        for key, spec in wanted.items():
            self._check(spec)
            if difference(self.find(key), spec):
                rows[key] = spec
        return rows

    def _check(self, spec: RouteSpec) -> None:
        _refuse_registry(spec.key)
        try:
            target = self.declared.resolved(spec)
        except BackendNotDeclared as error:
            raise InvalidRoute(f"backend: {error.detail}", field="backend") from None
        self.guard(target)
        try:
            self._backends.check(target.resource_kind.value, target.backend_type, target.config)
        except SecretUnavailable as error:
            raise InvalidRoute(f"config: {error.detail}", field="config") from None

    def checked(self, spec: R) -> R:
        """The row, if it could be written. Raises what writing it would raise."""
        self._check(spec)
        return spec

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
        for key in rows:
            self.refuse_change(key)
        change = self._change_of(action, rows, by, reason)
        await self.audit.intended(change)
        with anyio.CancelScope(shield=True):  # saved and unknown to ourselves would be a lie
            try:
                await self._save(change)
            except Exception as error:
                await self.audit.ended(change, error)
                raise
            for key in rows:
                await self._tell(key)
            await self.audit.ended(change)
        return change

    def _change_of(
        self, action: Action, rows: Rows, by: str | None, reason: str | None
    ) -> RouteChange:
        return RouteChange(
            revision=self.revision + 1,
            action=action,
            at=datetime.now(UTC),
            by=by,
            reason=reason,
            rows=tuple(self._row(key, spec, by) for key, spec in rows.items()),
        )

    async def _save(self, change: RouteChange) -> None:
        """Make it durable, and then the registry as it is."""
        changed = {row.key for row in change.rows}
        others = tuple(route for route in self._image.routes if route.key not in changed)
        written = tuple(row.after for row in change.rows if row.after is not None)
        image = RegistryImage(change.revision, (*others, *written))
        await self._store.save(image, replaces=self.revision, change=change)
        self._adopt(image)
        self.history.add(change)

    async def _tell(self, key: RouteKey) -> None:
        if self._owners is not None:
            await self._owners.changed(key)
        await self._tell_listeners(key)

    async def _tell_listeners(self, key: RouteKey) -> None:
        for listener in self._listeners:
            await listener(key)


def _refuse_registry(key: RouteKey) -> None:
    if key.resource_kind == REGISTRY_KEY.resource_kind:
        raise RouteNotEditable(
            "the registry is opened before any route, so no route says what it lies on"
        )


def _leads_elsewhere(one: RouteSpec, other: RouteSpec) -> bool:
    return (one.backend, one.backend_type, one.config) != (
        other.backend,
        other.backend_type,
        other.config,
    )
