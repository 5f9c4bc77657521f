"""How the registry changes: one at a time, audited, durable, and then told to everybody.

Job: the turn of a change; what keeps a row from being written; saving a change with its history;
telling the owner of a row, and who has resolved it. What can be asked for is service.py's.
Source: DESIGN decision 11; R-02, R-07, Q10.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import anyio

from eventspine.contracts.backends import Backends
from eventspine.contracts.declared import Declared
from eventspine.contracts.errors import (
    BackendNotDeclared,
    InvalidRoute,
    RouteNotEditable,
    SecretUnavailable,
)
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import ResourceRoute, RouteKey, RouteSpec
from eventspine.contracts.route_change import Action, RouteChange, RowChange, difference
from eventspine.contracts.settings import RoutingSettings
from eventspine.contracts.system_routes import REGISTRY_KEY, registry_row
from eventspine.services.routing.history import RouteHistory
from eventspine.services.routing.lookups import RouteLookups

Changed = Callable[[RouteKey], Awaitable[None]]
R = TypeVar("R", bound=RouteSpec)
Rows = Mapping[RouteKey, RouteSpec | None]


class ChangeAudit(Protocol):
    """Who records changes: eventspine.services.routing.audited.RoutingAudit."""

    async def intended(self, change: RouteChange) -> None: ...
    async def ended(self, change: RouteChange, error: Exception | None = None) -> None: ...


class Unrecorded:
    """Of a root that is not open: its history alone has what changed."""

    async def intended(self, change: RouteChange) -> None: ...
    async def ended(self, change: RouteChange, error: Exception | None = None) -> None: ...


class RouteChanging(RouteLookups):
    """The registry of one root, as it is and as it comes to be."""

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

    # --- who is told ---

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

    # --- a change ---

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

    def _check(self, spec: RouteSpec) -> None:
        refuse_registry(spec.key)
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


def refuse_registry(key: RouteKey) -> None:
    if key.resource_kind == REGISTRY_KEY.resource_kind:
        raise RouteNotEditable(
            "the registry is opened before any route, so no route says what it lies on"
        )
