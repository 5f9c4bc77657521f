"""The routing registry: which backend serves which scope. No route, no service.

Job: keep the rows (revisioned, compare-and-set, survives restart), resolve a scope to one of them,
guard which backend may serve which mode, remember every change. The most specific row wins; see
RouteKey.rows. Source: DESIGN decision 11; R-01 … R-04, R-08 … R-10; Q10, Q15.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import anyio

from eventspine.contracts.backends import Backends
from eventspine.contracts.context import DEFAULT_PROJECT, RequestContext
from eventspine.contracts.errors import (
    BackendRefusedInMode,
    NoRouteConfigured,
    RouteConflict,
    RouteNotFound,
)
from eventspine.contracts.registry import RegistryImage, RegistryStore
from eventspine.contracts.route import (
    LAB_BACKENDS,
    LAB_MODE,
    ResourceRoute,
    RouteKey,
    RouteSpec,
)
from eventspine.contracts.route_change import (
    Action,
    RouteChange,
    RouteHealth,
    RowChange,
    difference,
)
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.settings import RoutingSettings
from eventspine.services.route_history import RouteHistory, restored
from eventspine.services.route_trial import Trial, explained

Changed = Callable[[RouteKey], Awaitable[None]]
Rows = Mapping[RouteKey, RouteSpec | None]


class Owners(Protocol):
    """The owners of the rows: eventspine.actors.route.RouteActors."""

    async def changed(self, key: RouteKey) -> RouteHealth: ...
    def health(self, key: RouteKey) -> RouteHealth: ...
    def stale(self) -> dict[RouteKey, str]: ...


class RouteService:
    """The registry of one root. Lookups are answered from memory; changes are durable first."""

    def __init__(
        self, store: RegistryStore, backends: Backends[Any], settings: RoutingSettings
    ) -> None:
        self._store = store
        self._backends = backends
        self._settings = settings
        self._image = RegistryImage()
        self._by_key: dict[RouteKey, ResourceRoute] = {}
        self._lock = anyio.Lock()
        self._listeners: list[Changed] = []
        self._owners: Owners | None = None
        self._scopes: list[Callable[[], set[RouteKey]]] = []
        self.history = RouteHistory(store.history)

    async def load(self) -> None:
        self._adopt(await self._store.load())
        await self.history.load(self.revision)

    def owned_by(self, owners: Owners) -> None:
        """Who opens what a row names; told of a change before anybody else."""
        self._owners = owners

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

    @property
    def revision(self) -> int:
        return self._image.revision

    # --- lookups ---

    def get_route(
        self,
        resource_kind: str,
        tenant_id: str,
        env: str,
        project_id: str | None = None,
        mode: str | None = None,
        *,
        context: RequestContext | None = None,
    ) -> ResourceRoute:
        """The route of a scope (FN-17). `mode` comes from `context` when it is left out.

        Raises:
            NoRouteConfigured: there is none; in every mode (D2c).
            BackendRefusedInMode: the mode guard, which looks again at every resolve.
        """
        mode = mode or (context.mode if context else None)
        if mode is None:
            raise TypeError("get_route() needs mode, or a context that has one")
        key = RouteKey(resource_kind, tenant_id, env, project_id or DEFAULT_PROJECT, mode)
        route = self.resolve(key)
        if route is None:
            raise NoRouteConfigured(resource_kind, **key._asdict())
        self.guard(route)
        return route

    def resolve(self, key: RouteKey) -> ResourceRoute | None:
        """The most specific row that serves a scope."""
        exact = self._by_key.get(key)
        if exact is not None:
            return exact
        rows = map(self._by_key.get, key.rows())
        return next((row for row in rows if row is not None), None)

    def find(self, key: RouteKey) -> ResourceRoute | None:
        """The row of exactly this key."""
        return self._by_key.get(key)

    def get(self, key: RouteKey) -> ResourceRoute:
        route = self.find(key)
        if route is None:
            raise RouteNotFound(f"no route {'/'.join(key)}", **key._asdict())
        return route

    def list(self) -> list[ResourceRoute]:
        return sorted(self._image.routes, key=lambda route: route.key)

    def guard(self, route: RouteSpec) -> None:
        """R-04, R-09: the backends of one machine are for lab, or for modes the operator names."""
        allowed = (LAB_MODE, *self._settings.lab_backend_modes)
        if route.backend_type in LAB_BACKENDS and route.mode not in allowed:
            raise BackendRefusedInMode(
                f"backend {route.backend_type} is not for mode {route.mode}",
                backend_type=route.backend_type,
                mode=route.mode,
            )

    def health(self, key: RouteKey) -> RouteHealth:
        """What the owner of a row says about it."""
        return RouteHealth(state="unused") if self._owners is None else self._owners.health(key)

    def stale(self) -> dict[RouteKey, str]:
        """Rows whose newest revision could not be opened, and why."""
        return {} if self._owners is None else self._owners.stale()

    def explain(self, key: RouteKey) -> dict[str, Any]:
        """Which row serves a scope, which others could have, and why it is this one."""
        return explained(key, self._by_key, self._refusal, self.health, self.revision)

    def _refusal(self, route: RouteSpec) -> str | None:
        try:
            self.guard(route)
        except BackendRefusedInMode as error:
            return error.detail
        return None

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

    def _moves(self, scope: RouteKey, spec: RouteSpec) -> bool:
        """Whether the scope would be served by this row, and be served differently than now."""
        rows = scope.rows()
        if spec.key not in rows:
            return False
        now = self.resolve(scope)
        better = now is not None and rows.index(now.key) < rows.index(spec.key)
        return not better and (
            now is None or (now.backend_type, now.config) != (spec.backend_type, spec.config)
        )

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

    def _expect_none(self, key: RouteKey) -> None:
        existing = self.find(key)
        if existing is not None:
            raise RouteConflict(f"route {'/'.join(key)} exists", revision=existing.revision)

    @staticmethod
    def _expect(route: ResourceRoute, revision: int | None) -> None:
        if revision is not None and route.revision != revision:
            raise RouteConflict(
                f"the route is at revision {route.revision}, not {revision}",
                revision=route.revision,
            )

    def _expect_registry(self, revision: int | None) -> None:
        if revision is not None and revision != self.revision:
            raise RouteConflict(
                f"the registry is at revision {self.revision}, not {revision}",
                revision=self.revision,
            )

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

    def _adopt(self, image: RegistryImage) -> None:
        self._image = image
        self._by_key = {route.key: route for route in image.routes}
