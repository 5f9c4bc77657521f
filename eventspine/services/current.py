"""The spine that runs in this process, and its registry, for code that is handed none.

    routing_registry().get_route("event_stream", "t_demo", "dev", "default")

Mode is part of a route's key (D3): left out it is that of the context, and where there is none that
of the root's lab settings. Source: FN-16, FN-17.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import RegistryNotOpen
from eventspine.contracts.route import ResourceRoute

if TYPE_CHECKING:
    from eventspine.services.routing.service import RouteService
    from eventspine.services.spine import Spine

_running: list[Spine] = []


class CurrentRegistry:
    """Looks up routes of a running spine. For changes use `spine.routes`."""

    def __init__(self, spine: Spine, context: RequestContext | None = None) -> None:
        self._spine = spine
        self._context = context

    @property
    def spine(self) -> Spine:
        return self._spine

    @property
    def service(self) -> RouteService:
        return self._spine.routes

    def get_route(
        self,
        resource_kind: str,
        tenant_id: str | None = None,
        env: str | None = None,
        project_id: str | None = None,
        mode: str | None = None,
    ) -> ResourceRoute:
        """The route of a scope; what is left out comes from the context, or the lab settings.

        Raises:
            NoRouteConfigured: there is none.
            TypeError: a part is left out, and there is neither a context nor a lab.
        """
        stated = {"tenant_id": tenant_id, "env": env, "project_id": project_id, "mode": mode}
        source = self._context or self._spine.settings.lab
        for name, value in stated.items():
            if value is None and source is not None:
                stated[name] = getattr(source, name)
        missing = [name for name in ("tenant_id", "env", "mode") if stated[name] is None]
        if missing:
            raise TypeError(f"get_route() needs {', '.join(missing)}, or a context that has them")
        return self.service.get_route(
            resource_kind,
            stated["tenant_id"] or "",
            stated["env"] or "",
            stated["project_id"],
            stated["mode"],
        )


def routing_registry(context: RequestContext | None = None) -> CurrentRegistry:
    """The registry of the spine opened last of those that run in this process.

    Raises:
        RegistryNotOpen: none runs.
    """
    return CurrentRegistry(current_spine(), context)


current_registry = routing_registry


async def emit_audit_event(
    ctx: RequestContext,
    action: str,
    surface: str = "audit",
    metadata: Mapping[str, Any] | None = None,
    input_data: Mapping[str, Any] | None = None,
    output_data: Mapping[str, Any] | None = None,
) -> None:
    """Keep an audit record in the spine opened last (FN-24); see Audit.emit_audit_event.

    Raises:
        RegistryNotOpen: none runs.
        AuditUnavailable: it could not be kept, and the audit is strict.
    """
    spine = routing_registry(ctx).spine
    await spine.audit.emit_audit_event(ctx, action, surface, metadata, input_data, output_data)


def current_spine() -> Spine:
    """The spine opened last of those that run in this process.

    Raises:
        RegistryNotOpen: none runs.
    """
    if not _running:
        raise RegistryNotOpen("no spine is open in this process")
    return _running[-1]


@contextmanager
def running(spine: Spine) -> Iterator[None]:
    """While the block runs, the registry of this spine is to be had."""
    _running.append(spine)
    try:
        yield
    finally:
        _running.remove(spine)
