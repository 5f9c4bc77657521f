"""What the front does, as a table: one row per method and address, read by openapi.py.

`errors` names codes of the catalogue; their statuses and texts come from there. Every operation may
also answer `EVERYWHERE`, and every one that has a context `CONTEXT`.
"""

from __future__ import annotations

from typing import Any

from eventspine.api import audit
from eventspine.api.operation import BODY, OWNER, WRITING, Operation
from eventspine.api.routing import operations as route_operations
from eventspine.api.routing import switch_described
from eventspine.api.routing import tenant as tenant_routes
from eventspine.api.stores import (
    analytics_described,
    budget_described,
    budget_policies,
    memory_described,
    metrics,
    object_uploads_described,
    objects_described,
    tabular,
    vectors_described,
)

_APPEND = Operation(
    "post",
    "/v1/streams/{stream_id}/events",
    "append",
    "streams",
    "Append one event or a batch",
    "All of the events or none; answered when they are on disk. 201, or 200 when every event was "
    "already stored under its id. `Prefer: return=minimal` leaves the payloads out.",
    ("If-Match", "Idempotency-Key", "Prefer"),
    "headers",
    "events",
    {201: "appended", 200: "appended"},
    (
        *OWNER,
        *WRITING,
        *BODY,
        "invalid_event",
        "invalid_cursor",
        "event_conflict",
        "precondition_failed",
        "stream_sealed",
    ),
)
_PAGE = Operation(
    "get",
    "/v1/streams/{stream_id}/events",
    "list",
    "streams",
    "A page of events after or before a position",
    "Ascending in both directions. With `Accept: text/event-stream` this address is the live "
    "stream, as `/v1/streams/{stream_id}/sse`.",
    ("after", "before", "limit", "wait"),
    "headers",
    answers={200: "page"},
    errors=(*OWNER, "invalid_cursor", "cursor_gone"),
)
_QUERY = Operation(
    "get",
    "/v1/streams/{stream_id}/query",
    "query",
    "streams",
    "Events that match, after a position",
    "All that is stated must hold. One answer looks at `query_events_read_max` events at most; go "
    "on with `after=<next>` until `complete`.",
    ("?event_types", "?since", "?until", "?metadata", "after", "limit"),
    "headers",
    answers={200: "selection"},
    errors=(*OWNER, "invalid_cursor", "cursor_gone"),
)
_DELETE = Operation(
    "delete",
    "/v1/streams/{stream_id}/events",
    "delete",
    "streams",
    "Delete the stream",
    "Every event of it; its cursors are gone for ever, its id may be used again.",
    (),
    "headers",
    answers={204: "nothing"},
    errors=(*OWNER, "outcome_unknown", "store_full", "stream_not_found", "stream_sealed"),
)

OPERATIONS: tuple[Operation, ...] = (
    _APPEND,
    _PAGE,
    Operation(
        "head",
        "/v1/streams/{stream_id}/events",
        "head",
        "streams",
        "Where the stream stands, in headers",
        "",
        ("after", "before", "limit", "wait"),
        "headers",
        answers={200: "head"},
        errors=OWNER,
    ),
    _QUERY,
    _DELETE,
    Operation(
        "delete",
        "/v1/streams/{stream_id}",
        "deleteStream",
        "streams",
        "Delete the stream",
        _DELETE.description,
        (),
        "headers",
        answers={204: "nothing"},
        errors=_DELETE.errors,
    ),
    Operation(
        "post",
        "/v1/streams/{stream_id}/close",
        "close",
        "streams",
        "Close the stream: it takes no further event, for ever",
        "Its readers get what is there and then an `end`. Closing a closed stream changes nothing.",
        (),
        "headers",
        answers={200: "standing"},
        errors=(*OWNER, "outcome_unknown", "store_full", "stream_not_found", "stream_sealed"),
    ),
    Operation(
        "get",
        "/v1/streams/{stream_id}/sse",
        "tail",
        "live",
        "History after a position, then live",
        "Server-sent events. `Last-Event-ID` wins over the query. A position that is gone is a "
        "`gap` event, the end an `end` event with a reason; 204 for a resume at the end of a "
        "closed stream. See PROTOCOL.md.",
        ("Last-Event-ID", "after", "last_event_id"),
        "query",
        answers={200: "sse", 204: "nothing"},
        errors=(*OWNER, "invalid_cursor"),
    ),
    Operation(
        "get",
        "/v1/sse",
        "tailMany",
        "live",
        "Several streams on one connection",
        "One id of at most 128 characters resumes all of them.",
        ("streams", "Last-Event-ID", "after", "last_event_id"),
        "query",
        answers={200: "sse"},
        errors=(*OWNER, "invalid_cursor", "too_large"),
    ),
    Operation(
        "post",
        "/timeline/{stream_id}/append",
        "timelineAppend",
        "timeline",
        "Append one event; answers the stored event",
        "A batch is answered as by /v1.",
        ("If-Match", "Idempotency-Key", "Prefer"),
        "headers",
        "events",
        {201: "stored", 200: "stored"},
        _APPEND.errors,
    ),
    Operation(
        "get",
        "/timeline/{stream_id}/events",
        "timelineList",
        "timeline",
        "A page of events",
        "",
        ("after", "before", "limit", "wait"),
        "headers",
        answers={200: "page"},
        errors=_PAGE.errors,
    ),
    *audit.OPERATIONS,
    *route_operations.OPERATIONS,
    *switch_described.OPERATIONS,
    Operation(
        "get", "/healthz", "alive", "operation", "The process answers", answers={200: "object"}
    ),
    Operation(
        "get",
        "/readyz",
        "ready",
        "operation",
        "Every backend in use is open",
        answers={200: "readiness", 503: "readiness"},
    ),
    Operation(
        "get",
        "/v1/supervisor",
        "supervisor",
        "operation",
        "The supervisor tree",
        "Every service with its state, its restarts and their causes, and the budget left.",
        answers={200: "object"},
    ),
    Operation(
        "get", "/metrics", "metrics", "operation", "Prometheus metrics", answers={200: "metrics"}
    ),
    *analytics_described.OPERATIONS,
    *budget_described.OPERATIONS,
    *budget_policies.OPERATIONS,
    *metrics.OPERATIONS,
    *memory_described.OPERATIONS,
    *object_uploads_described.OPERATIONS,
    *objects_described.OPERATIONS,
    *tabular.OPERATIONS,
    *tenant_routes.OPERATIONS,
    *vectors_described.OPERATIONS,
)

EVENT_EXAMPLE: dict[str, Any] = {
    "event_type": "chat.message",
    "payload": {"text": "hello"},
}
