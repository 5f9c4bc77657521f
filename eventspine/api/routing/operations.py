"""What the front does with routes, as rows of the table in operations.py."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, Described, Operation, array, member
from eventspine.contracts.circuit import CIRCUIT_STATES

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_WHOLE = {"type": "integer", "minimum": 0}
_WHOLE_OR_NULL = {"type": ["integer", "null"]}
_ROUTE = {"$ref": "#/components/schemas/ResourceRoute"}
_ROUTE_OR_NULL = {"anyOf": [_ROUTE, {"type": "null"}]}
_SPEC = {"$ref": "#/components/schemas/RouteSpec"}
_OBJECT = {"type": "object"}
_CIRCUIT = member(
    backend=_TEXT,
    state={"enum": list(CIRCUIT_STATES)},
    failures=_WHOLE,
    opened_at=_TEXT_OR_NULL,
    next_try_at=_TEXT_OR_NULL,
    last_error=_TEXT_OR_NULL,
    last_error_at=_TEXT_OR_NULL,
    last_ok_at=_TEXT_OR_NULL,
)
_HEALTH = member(
    state={"enum": ["serving", "stale", "unused"]},
    serving_revision=_WHOLE_OR_NULL,
    reason=_TEXT_OR_NULL,
    circuit={"anyOf": [_CIRCUIT, {"type": "null"}]},
)
_KEY = member(resource_kind=_TEXT, tenant_id=_TEXT, env=_TEXT, project_id=_TEXT, mode=_TEXT)
_ROW = member(before=_ROUTE_OR_NULL, after=_ROUTE_OR_NULL, diff=array(_OBJECT))
_CHANGE = member(
    revision=_WHOLE,
    action=_TEXT,
    at=_TEXT,
    by=_TEXT_OR_NULL,
    reason=_TEXT_OR_NULL,
    rows=array(_ROW),
)
_DRY = "`dry_run=1`: what it would do, with a sentinel put through the backend; nothing changes."
_TRIED: dict[str, Any] = member(
    dry_run={"const": True},
    revision=_WHOLE,
    action={"enum": ["create", "update"]},
    diff=array(_OBJECT),
    probe=member(ok={"type": "boolean"}, steps=array(_TEXT), detail=_TEXT_OR_NULL),
    moves=array(_KEY),
    left_behind=_WHOLE_OR_NULL,
)
_TRIAL = Described("What it would do", _TRIED, {})
_CHANGED_OR_TRIAL = Described(
    "The route, or what the change would do", {"anyOf": [_ROUTE, _TRIED]}, {"ETag": "Revision"}
)
_WHOLE_CHANGE = Described(
    "The change, null when nothing differed, and how its rows are served",
    member(
        revision=_WHOLE,
        change={"anyOf": [_CHANGE, {"type": "null"}]},
        health={"type": "object", "additionalProperties": _HEALTH},
    ),
    {},
)
_EXPLAINED = member(
    key=_KEY,
    revision=_WHOLE,
    route=_ROUTE_OR_NULL,
    health={"anyOf": [_HEALTH, {"type": "null"}]},
    refused=_TEXT_OR_NULL,
    why=_TEXT,
    files={"type": "object", "additionalProperties": _TEXT},
    candidates=array(
        member(key=_KEY, exists={"type": "boolean"}, wins={"type": "boolean"}, why=_TEXT)
    ),
)
_REFUSED = (
    "invalid_id",
    "invalid_route",
    "unsupported_backend",
    "backend_refused_in_mode!",
    "route_not_editable",
)
_WRITTEN = ("route_conflict", "registry_edit_broken", "store_unavailable", "store_full")
_KEY_QUERY = ("?resource_kind", "?tenant_id", "?env", "?project_id", "?mode")


def _file(required: list[str], **more: Any) -> dict[str, Any]:
    schema = member(serial=_WHOLE, routes={**array(_SPEC), "maxItems": 10_000}, **more)
    return {**schema, "required": required}


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/routes",
        "listRoutes",
        "routes",
        "The routes, or those that match",
        "",
        ("?resource_kind", "?tenant_id", "?env", "?project_id", "?mode"),
        answers={200: "routes"},
        errors=("invalid_id",),
    ),
    Operation(
        "post",
        "/v1/routes",
        "createRoute",
        "routes",
        "Create a route",
        _DRY,
        ("X-User-Id", "dry_run"),
        "",
        "route",
        {201: "route", 200: _TRIAL},
        (
            *BODY,
            "invalid_id",
            "invalid_route",
            "unsupported_backend",
            "backend_refused_in_mode!",
            "route_not_editable",
            "route_conflict",
            "registry_edit_broken",
            "store_unavailable",
            "store_full",
            "audit_unavailable",
        ),
    ),
    Operation(
        "get",
        "/v1/routes/resolve",
        "resolveRoute",
        "routes",
        "The route that serves a scope",
        "",
        ("!resource_kind", "!tenant_id", "!env", "?project_id", "!mode"),
        answers={200: "route"},
        errors=(
            "invalid_id",
            "no_route_configured",
            "backend_refused_in_mode",
            "backend_not_declared",
        ),
    ),
    Operation(
        "get",
        "/v1/routes/{resource_kind}/{tenant_id}/{env}/{project_id}/{mode}",
        "getRoute",
        "routes",
        "One route",
        answers={200: "route"},
        errors=("invalid_id", "route_not_found"),
    ),
    Operation(
        "put",
        "/v1/routes/{resource_kind}/{tenant_id}/{env}/{project_id}/{mode}",
        "putRoute",
        "routes",
        "Change a route, or create it",
        f"With If-Match only if it is still at that revision. {_DRY}",
        ("If-Match-Revision", "X-User-Id", "dry_run"),
        "",
        "route_change",
        {200: _CHANGED_OR_TRIAL, 201: "route"},
        (
            *BODY,
            "invalid_id",
            "invalid_route",
            "unsupported_backend",
            "backend_refused_in_mode!",
            "route_not_editable",
            "route_conflict",
            "route_not_found",
            "registry_edit_broken",
            "store_unavailable",
            "store_full",
            "audit_unavailable",
        ),
    ),
    Operation(
        "delete",
        "/v1/routes/{resource_kind}/{tenant_id}/{env}/{project_id}/{mode}",
        "deleteRoute",
        "routes",
        "Remove a route; what is stored behind it stays",
        "",
        ("If-Match-Revision", "X-User-Id"),
        answers={204: "nothing"},
        errors=(
            "invalid_id",
            "route_not_found",
            "route_not_editable",
            "route_conflict",
            "registry_edit_broken",
            "store_unavailable",
            "store_full",
            "audit_unavailable",
        ),
    ),
    Operation(
        "get",
        "/v1/routes/explain",
        "explainRoute",
        "routes",
        "Why a route serves a scope",
        "The rows that could serve it, in the order they are looked for: an exact tenant weighs "
        "more than an exact env, and that more than an exact project.",
        ("!resource_kind", "!tenant_id", "!env", "?project_id", "!mode"),
        answers={200: Described("The rows, and the one that wins", _EXPLAINED, {})},
        errors=("invalid_id",),
    ),
    Operation(
        "get",
        "/v1/routes/history",
        "routeHistory",
        "routes",
        "Who changed what, when and why, the newest first",
        "With parts of a key only changes of such rows.",
        (*_KEY_QUERY, "revision_before", "changes_limit"),
        answers={
            200: Described(
                "A page of changes; `next` is the `before` of the next",
                member(revision=_WHOLE, changes=array(_CHANGE), next=_WHOLE_OR_NULL),
                {},
            )
        },
        errors=("invalid_id",),
    ),
    Operation(
        "post",
        "/v1/routes/rollback",
        "rollbackRoutes",
        "routes",
        "All routes as they were at a revision, under a new one",
        "With If-Match only if the registry is still at that revision.",
        ("If-Match-Revision", "X-User-Id"),
        "",
        {**member(to=_WHOLE, reason=_TEXT_OR_NULL), "required": ["to"]},
        {200: _WHOLE_CHANGE},
        (*BODY, *_REFUSED, *_WRITTEN, "revision_gone"),
    ),
    Operation(
        "post",
        "/v1/routes/plan",
        "planRoutes",
        "routes",
        "What a file of routes would change",
        "The file is the whole registry: routes that it does not name would be deleted.",
        (),
        "",
        _file(["routes"]),
        {
            200: Described(
                "Row by row; `serial` is what the file has to state now",
                member(serial=_WHOLE, applies={"type": "boolean"}, rows=array(_ROW)),
                {},
            )
        },
        (*BODY, *_REFUSED),
    ),
    Operation(
        "post",
        "/v1/routes/apply",
        "applyRoutes",
        "routes",
        "Make the registry what a file of routes says, in one revision",
        "Refused when the registry has moved on from `serial`.",
        ("X-User-Id",),
        "",
        _file(["routes", "serial"], reason=_TEXT_OR_NULL),
        {200: _WHOLE_CHANGE},
        (*BODY, *_REFUSED, *_WRITTEN),
    ),
    Operation(
        "get",
        "/v1/routes/watch",
        "watchRoutes",
        "routes",
        "Changes of routes as they come",
        "Server-sent events, a change each, its revision as id. `reload` carries all routes: "
        "when no revision is stated, or when the changes since then are not at hand.",
        ("rev", "Last-Event-ID"),
        answers={200: "sse"},
    ),
)
