"""A spine whose audit is looked at: routes for it, and its records."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from eventspine.bootstrap import open_spine
from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE, SYSTEM_TENANT
from eventspine.contracts.context import RequestContext
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, RoutingSettings, Settings
from eventspine.services.spine import Spine

CONTEXT = RequestContext(tenant_id="t", env="e", mode="lab", user_id="ada", request_id="r1")
SYSTEM = RequestContext(tenant_id=SYSTEM_TENANT, env="e", mode="lab")
EVENT = {"event_type": "x", "payload": {}}
Opener = Callable[..., AbstractAsyncContextManager[Spine]]


def opener(root: Path) -> Opener:
    """Opens a root again and again; what it is given are settings of the audit."""

    @asynccontextmanager
    async def spine_of(**audit: Any) -> AsyncIterator[Spine]:
        routing = RoutingSettings(lab_backend_modes=("prod",))
        settings = Settings(audit=AuditSettings(**audit), routing=routing)
        async with open_spine(root, settings=settings) as spine:
            yield spine

    return spine_of


def route(context: RequestContext = CONTEXT, name: str = "a", **more: Any) -> RouteSpec:
    stated = {
        "resource_kind": ResourceKind.EVENT_STREAM,
        "backend_type": "memory",
        "config": {"name": name},
        "tenant_id": context.tenant_id,
        "env": context.env,
        "mode": context.mode,
    }
    return RouteSpec(**{**stated, **more})


async def records(
    spine: Spine, action: str | None = None, context: RequestContext = CONTEXT
) -> list[dict[str, Any]]:
    """The records of a tenant, as events."""
    await spine.audit.queue.settled()
    of = context.model_copy(update={"surface_id": AUDIT_SURFACE})
    page = await spine.list_after(AUDIT_STREAM, None, of, limit=1000)
    events = [json.loads(line) for line in page.lines]
    return [one for one in events if action in (None, one["payload"]["action"])]


def members(found: list[dict[str, Any]], *names: str) -> list[Any]:
    return [tuple(one["payload"]["metadata"][name] for name in names) for one in found]
