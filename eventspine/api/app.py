"""The HTTP application: which address is served by what. Wiring only.

Started and stopped by whoever holds the spine; the application itself has no lifespan.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send

from eventspine.api.address import RawRoute
from eventspine.api.audit import AuditEndpoints
from eventspine.api.context import ContextReader
from eventspine.api.cors import Cors
from eventspine.api.every_answer import EveryAnswer
from eventspine.api.front import Front
from eventspine.api.health import HealthEndpoints
from eventspine.api.lane.append_lane import AppendLane
from eventspine.api.lane.known_heads import KnownHeads
from eventspine.api.lane.lanes import Lanes
from eventspine.api.lane.page_lane import PageLane
from eventspine.api.metrics import Metrics
from eventspine.api.openapi import OpenApiEndpoint
from eventspine.api.refusals import AddressNotFound
from eventspine.api.routing.asked import asked
from eventspine.api.routing.registry import RegistryEndpoints
from eventspine.api.routing.rows import RouteEndpoints
from eventspine.api.routing.switching import SwitchEndpoints
from eventspine.api.routing.tenant import TenantRouteEndpoints
from eventspine.api.service import SpineService
from eventspine.api.site import SiteEndpoints
from eventspine.api.stores.analytics import AnalyticsEndpoints
from eventspine.api.stores.budget import BudgetEndpoints
from eventspine.api.stores.budget_policies import BudgetPolicyEndpoints
from eventspine.api.stores.memory import MemoryEndpoints
from eventspine.api.stores.metrics import MetricEndpoints
from eventspine.api.stores.object_uploads import UploadEndpoints
from eventspine.api.stores.objects import ObjectEndpoints
from eventspine.api.stores.tabular import TableEndpoints
from eventspine.api.stores.vectors import VectorEndpoints
from eventspine.api.streams import StreamEndpoints


def create_app(spine: SpineService, *, log_requests: bool = False) -> Front:
    """The application over an open spine. `log_requests`: one line each on eventspine.access."""
    router = Router(redirect_slashes=False, default=_nothing_here)
    settings, contexts = spine.settings, ContextReader(spine.settings)
    every = EveryAnswer(Cors(settings.http.cors_origins), log_requests=log_requests)
    heads = KnownHeads(contexts, every)
    lanes = Lanes(AppendLane(spine, every, heads), PageLane(spine, every, heads))
    router.routes += _stream_routes(StreamEndpoints(spine, contexts))
    router.routes += AnalyticsEndpoints(spine, contexts).routes()
    router.routes += MetricEndpoints(spine, contexts).routes()
    router.routes += ObjectEndpoints(spine, contexts).routes()
    router.routes += UploadEndpoints(spine, contexts).routes()
    router.routes += TableEndpoints(spine, contexts).routes()
    router.routes += MemoryEndpoints(spine, contexts).routes()
    router.routes += BudgetEndpoints(spine, contexts).routes()
    router.routes += BudgetPolicyEndpoints(spine, contexts).routes()
    router.routes += AuditEndpoints(spine, contexts).routes()
    router.routes += RegistryEndpoints(spine).routes()
    router.routes += SwitchEndpoints(spine).routes()
    router.routes += TenantRouteEndpoints(spine, contexts).routes()
    router.routes += VectorEndpoints(spine, contexts).routes()
    router.routes += _route_routes(RouteEndpoints(spine))
    router.routes += _health_routes(HealthEndpoints(spine, Metrics(spine, every.counts)))
    router.routes += _site_routes(SiteEndpoints(demo=settings.http.demo), OpenApiEndpoint(spine))
    return Front(router, every, lanes if settings.http.short_ways else None)


def _stream_routes(streams: StreamEndpoints) -> list[BaseRoute]:
    return [
        RawRoute(
            "/v1/streams/{stream_id}/events",
            {
                "POST": streams.append,
                "GET": streams.page,
                "HEAD": streams.head,
                "DELETE": streams.delete,
            },
        ),
        RawRoute("/v1/streams/{stream_id}/query", {"GET": streams.query}),
        RawRoute("/v1/streams/{stream_id}/sse", {"GET": streams.tail}),
        RawRoute("/v1/sse", {"GET": streams.many}),
        RawRoute("/v1/streams/{stream_id}/close", {"POST": streams.close}),
        RawRoute("/v1/streams/{stream_id}", {"DELETE": streams.delete}),
        RawRoute("/timeline/{stream_id}/append", {"POST": streams.seed_append}),
        RawRoute("/timeline/{stream_id}/events", {"GET": streams.page}),
    ]


def _route_routes(routes: RouteEndpoints) -> list[BaseRoute]:
    return [
        RawRoute("/v1/routes", {"GET": routes.list, "POST": asked(routes.create)}),
        RawRoute("/v1/routes/resolve", {"GET": asked(routes.resolve)}),
        RawRoute(
            "/v1/routes/{resource_kind}/{tenant_id}/{env}/{project_id}/{mode}",
            {"GET": routes.get, "PUT": asked(routes.put), "DELETE": asked(routes.delete)},
        ),
    ]


def _health_routes(health: HealthEndpoints) -> list[BaseRoute]:
    return [
        RawRoute("/healthz", {"GET": health.alive, "HEAD": health.alive}),
        RawRoute("/readyz", {"GET": health.ready, "HEAD": health.ready}),
        RawRoute("/metrics", {"GET": health.metrics}),
        RawRoute("/v1/supervisor", {"GET": health.supervisor}),
    ]


def _site_routes(site: SiteEndpoints, openapi: OpenApiEndpoint) -> list[BaseRoute]:
    return [
        RawRoute("/", {"GET": site.index}),
        RawRoute("/openapi.json", {"GET": openapi.document}),
        RawRoute("/docs", {"GET": site.docs}),
        RawRoute("/docs/errors", {"GET": site.errors}),
        RawRoute("/docs/assets/{name}", {"GET": site.docs_asset}),
        RawRoute("/demo", {"GET": site.demo_moved}),
        RawRoute("/demo/", {"GET": site.demo}),
        RawRoute("/demo/{name}", {"GET": site.demo}),
    ]


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    raise AddressNotFound("there is nothing at this address")
