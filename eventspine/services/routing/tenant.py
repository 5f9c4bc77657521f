"""TenantRoutes: what a tenant may see and choose of its own routes. Source: DESIGN decision 11.

Rules: the row is that of the context, exactly: its tenant, env, project and mode; there is no way
to name another. What a tenant chooses is the name of a backend that the operator has declared for
it, never a type, a path or an address, and it sees no config. Rows that name no declared backend
are the operator's and stay. Off unless `routing.tenant_editable` is on. Whoever lets tenants reach
this has to say who they are: the context is believed.
"""

from __future__ import annotations

from typing import NamedTuple

from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidRoute, RouteNotEditable, RouteNotFound
from eventspine.contracts.route import WILDCARD, ResourceKind, ResourceRoute, RouteKey, RouteSpec
from eventspine.services.routing.service import RouteService


class TenantRoute(NamedTuple):
    """How one kind of store is served in a scope. `backend`: None: one that the operator chose.

    `revision` is that of the tenant's own row, None when it has none or the operator wrote it.
    """

    resource_kind: str
    served: bool
    backend: str | None
    revision: int | None
    state: str | None
    choices: list[str]


class TenantRoutes:
    """The routes of one scope. Made by `Spine.tenant_routes(context)`."""

    def __init__(self, context: RequestContext, routes: RouteService, *, editable: bool) -> None:
        self._context = context
        self._routes = routes
        self.editable = editable

    def list(self) -> list[TenantRoute]:
        """Every kind that is served in the scope, or could be."""
        found = [self.get(kind) for kind in ResourceKind]
        return [one for one in found if one.served or one.choices]

    def get(self, kind: ResourceKind) -> TenantRoute:
        key = self._key(kind)
        row = self._routes.resolve(key)
        own = row is not None and row.key == key and row.backend is not None
        return TenantRoute(
            kind.value,
            row is not None,
            None if row is None else row.backend,
            row.revision if row is not None and own else None,
            None if row is None else self._routes.health(row.key).state,
            self._routes.declared.usable(key),
        )

    async def choose(
        self,
        kind: ResourceKind,
        backend: str,
        *,
        if_revision: int | None = None,
        reason: str | None = None,
    ) -> TenantRoute:
        """Have a declared backend serve the scope.

        Raises:
            RouteNotEditable: tenants may not, or the operator has written this row.
            InvalidRoute: the backend is not declared for this scope.
            RouteConflict: the row is not at `if_revision`, or was changed meanwhile.
        """
        row = self._own(kind)
        choices = self._routes.declared.usable(self._key(kind))
        if backend not in choices:
            raise InvalidRoute(
                f"backend: must be one of: {', '.join(choices) or 'none is declared for this'}",
                field="backend",
            )
        members = self._key(kind)._asdict() if row is None else row.spec.model_dump()
        spec = RouteSpec.model_validate({**members, "backend": backend, "reason": reason})
        if row is None and if_revision is None:
            await self._routes.create(spec, self._by)
        else:
            current = None if row is None else row.revision
            await self._routes.update(spec, if_revision or current, self._by)
        return self.get(kind)

    async def give_back(self, kind: ResourceKind, *, if_revision: int | None = None) -> None:
        """Delete the scope's own row: what the operator has for it serves again.

        Raises:
            RouteNotFound: it has none. Also as `choose`.
        """
        row = self._own(kind)
        if row is None:
            raise RouteNotFound(f"no route {'/'.join(self._key(kind))}")
        await self._routes.delete(row.key, if_revision or row.revision, self._by)

    def _own(self, kind: ResourceKind) -> ResourceRoute | None:
        """The row that may be changed, if there is one. Raises RouteNotEditable."""
        if not self.editable:
            raise RouteNotEditable("routing.tenant_editable is off")
        row = self._routes.find(self._key(kind))
        if row is not None and row.backend is None:
            raise RouteNotEditable("the operator has written this route")
        return row

    def _key(self, kind: ResourceKind) -> RouteKey:
        tenant, env, mode, project, _ = self._context.scope
        if WILDCARD in (tenant, env, project):
            raise RouteNotEditable("a tenant's route is for one tenant, env and project")
        return RouteKey(kind.value, tenant, env, project, mode)

    @property
    def _by(self) -> str:
        return self._context.user_id or f"tenant {self._context.tenant_id}"[:255]
