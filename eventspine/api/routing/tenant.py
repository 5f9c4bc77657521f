"""The endpoints of a tenant's own routes: which declared backend serves the scope of the context.

The scope is the context's and nothing in the address or the body names another. The front believes
the context, so an operator lets tenants reach these addresses, and not /v1/routes, only behind
something that knows who they are and states it (docs/ROUTES.md).
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.operation import BODY, Described, Operation, array, member
from eventspine.api.routing.asked import asked
from eventspine.api.routing.parts import if_revision, json_members, key_parts
from eventspine.api.service import SpineService
from eventspine.contracts.errors import InvalidRoute
from eventspine.contracts.route import ResourceKind
from eventspine.services.routing.tenant import TenantRoute, TenantRoutes

REASON_CHARS_MAX = 1000


class TenantRouteEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._bytes_max = spine.settings.limits.body_bytes_max

    def routes(self) -> list[BaseRoute]:
        one = {"GET": self.get, "PUT": asked(self.put), "DELETE": asked(self.delete)}
        return [
            RawRoute("/v1/tenant/routes", {"GET": self.list}),
            RawRoute("/v1/tenant/routes/{resource_kind}", one),
        ]

    async def list(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        routes = self._routes(call)
        found = [route._asdict() for route in routes.list()]
        return json_answer(200, {"editable": routes.editable, "routes": found}, [NO_STORE])

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        return _answer(self._routes(call).get(_kind(call)))

    async def put(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        kind, routes = _kind(call), self._routes(call)
        revision = if_revision(call.fields, "the ETag of the route")
        backend, reason = _chosen(await json_members(call, self._bytes_max))
        chosen = await routes.choose(kind, backend, if_revision=revision, reason=reason)
        return _answer(chosen)

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        revision = if_revision(call.fields, "the ETag of the route")
        await self._routes(call).give_back(_kind(call), if_revision=revision)
        return Answer(204)

    def _routes(self, call: Call) -> TenantRoutes:
        return self._spine.tenant_routes(self._contexts.read(call.fields, call.request_id))


def _kind(call: Call) -> ResourceKind:
    return ResourceKind(key_parts(call.parameters)["resource_kind"])


def _chosen(members: dict[str, Any]) -> tuple[str, str | None]:
    """The backend and the reason of a body. Raises InvalidRoute for any other body."""
    backend, reason = members.get("backend"), members.get("reason")
    if members.keys() - {"backend", "reason"} or not isinstance(backend, str):
        raise InvalidRoute(
            "the body is {backend: a declared name, reason: a text}", field="backend"
        )
    if reason is not None and not (isinstance(reason, str) and len(reason) <= REASON_CHARS_MAX):
        raise InvalidRoute(f"reason is a text of at most {REASON_CHARS_MAX}", field="reason")
    return backend, reason


def _answer(route: TenantRoute) -> Answer:
    tag = [] if route.revision is None else [(b"etag", b'"%d"' % route.revision)]
    return json_answer(200, route._asdict(), [*tag, NO_STORE])


# --- what they are, for /openapi.json ---------------------------------------------------------

_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}
_ROUTE = member(
    resource_kind={"type": "string"},
    served={"type": "boolean"},
    backend=_TEXT_OR_NULL,
    revision={"type": ["integer", "null"]},
    state=_TEXT_OR_NULL,
    choices=array({"type": "string"}),
)
_BODY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "backend": {"type": "string"},
        "reason": {**_TEXT_OR_NULL, "maxLength": REASON_CHARS_MAX},
    },
    "required": ["backend"],
    "additionalProperties": False,
}
_ONE = "/v1/tenant/routes/{resource_kind}"
_SHOWN = Described("How the kind is served", _ROUTE, {"ETag": "Revision of the tenant's own route"})
_EDITING = (
    "invalid_id",
    "route_not_editable",
    "route_conflict",
    "route_not_found",
    "registry_edit_broken",
    "store_unavailable",
    "store_full",
)
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/tenant/routes",
        "listTenantRoutes",
        "routes",
        "How the kinds of store of the context's scope are served",
        "`choices` are the declared backends that the tenant may name.",
        (),
        "headers",
        answers={
            200: Described(
                "The routes", member(editable={"type": "boolean"}, routes=array(_ROUTE)), {}
            )
        },
        errors=("invalid_id", "route_not_editable"),
    ),
    Operation(
        "get",
        _ONE,
        "getTenantRoute",
        "routes",
        "How one kind of store of the context's scope is served",
        "",
        (),
        "headers",
        answers={200: _SHOWN},
        errors=("invalid_id", "route_not_editable"),
    ),
    Operation(
        "put",
        _ONE,
        "chooseTenantRoute",
        "routes",
        "Have a declared backend serve the context's scope",
        "Only where settings.toml says `routing.tenant_editable`. What is stored is not moved.",
        ("If-Match-Revision",),
        "headers",
        _BODY,
        {200: _SHOWN},
        (*BODY, *_EDITING, "invalid_route"),
    ),
    Operation(
        "delete",
        _ONE,
        "giveTenantRouteBack",
        "routes",
        "Delete the tenant's own route; what the operator has for it serves again",
        "",
        ("If-Match-Revision",),
        "headers",
        answers={204: "nothing"},
        errors=_EDITING,
    ),
)
