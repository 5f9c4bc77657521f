"""The parameters of the HTTP front, as OpenAPI describes them."""

from __future__ import annotations

import re
from typing import Any

from eventspine.api.context import HEADERS
from eventspine.api.fields import shown
from eventspine.api.query import WHOLE_MAX
from eventspine.contracts.ids import ID_BYTES_MAX
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind

_CONTEXT_TEXT = {
    "tenant_id": "Tenant. Required unless the operator's lab settings name one.",
    "env": "Environment, as `dev` or `prod`. Required as the tenant is.",
    "mode": "Mode, as `lab`. Required as the tenant is.",
    "project_id": "Project; `default` when left out.",
    "app_id": "The application that calls.",
    "surface_id": "Where in the product; `_` when left out. Aliases are resolved.",
    "user_id": "The person behind the call.",
    "run_id": "The run of an agent.",
    "request_id": "Yours for this request; made and answered when left out.",
}
_KEY_TEXT = {
    "resource_kind": "Kind of store.",
    "tenant_id": "Tenant.",
    "env": "Environment.",
    "project_id": "Project.",
    "mode": "Mode.",
    "stream_id": "The stream; a / inside it is written %2F.",
    "table_name": "The table; a / inside it is written %2F.",
    "key": "The key; a / inside it is written %2F.",
}


_PLAIN: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "?prefix": ("query", "prefix", "Only keys that begin so.", {"type": "string"}),
    "?row_after": ("query", "after", "Only keys behind this one.", {"type": "string"}),
    "ttl_s": (
        "query",
        "ttl_s",
        "Seconds until it expires.",
        {"type": "number", "exclusiveMinimum": 0},
    ),
    "If-Match-Version": (
        "header",
        "If-Match",
        "The ETag of the row; only that version is changed.",
        {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    ),
    "If-None-Match": ("header", "If-None-Match", "`*`: only if there is none.", {"const": "*"}),
}


def id_schema() -> dict[str, Any]:
    """An id: 1 to 255 bytes of UTF-8 without control characters."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": ID_BYTES_MAX,
        "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
    }


def _header_schema() -> dict[str, Any]:
    """An id as a header carries it. Bytes beyond ASCII are UTF-8."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": ID_BYTES_MAX,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    }


def path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        _named("path", name, _KEY_TEXT[name], _key_schema(name), required=True)
        for name in re.findall(r"\{([a-z_]+)\}", path)
    ]


def context_headers() -> list[dict[str, Any]]:
    named = [
        _named("header", shown(header), _CONTEXT_TEXT[name], _header_schema())
        for name, header in HEADERS.items()
    ]
    trace = "W3C trace context; one that is not valid is replaced."
    return [*named, _named("header", "traceparent", trace, {"type": "string"})]


def context_query() -> list[dict[str, Any]]:
    return [
        _named("query", name, f"As the header {shown(header)}, for EventSource.", id_schema())
        for name, header in HEADERS.items()
    ]


def parameter(name: str, limits: Limits) -> dict[str, Any]:
    """One parameter by name; `?name` is an optional part of a route's key, `!name` a needed one."""
    if name in _PLAIN:
        where, shown_name, text, schema = _PLAIN[name]
        return _named(where, shown_name, text, schema)
    if name[0] in "?!":
        key = name[1:]
        return _named("query", key, _KEY_TEXT[key], _key_schema(key), required=name[0] == "!")
    position = {"type": "string", "maxLength": ID_BYTES_MAX}
    described: dict[str, tuple[str, str, dict[str, Any]]] = {
        "after": ("query", "A cursor, an event id, or `latest`.", position),
        "before": (
            "query",
            "A cursor or an event id: the last events before it (and after `after`).",
            position,
        ),
        "last_event_id": ("query", "As the header, for clients that cannot set it.", position),
        "limit": (
            "query",
            f"Events at most; lowered to {limits.page_events_max}.",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": WHOLE_MAX,
                "default": limits.page_events_default,
            },
        ),
        "wait": (
            "query",
            "Seconds to wait for a first event when there is none.",
            {"type": "number", "minimum": 0, "maximum": limits.long_poll_s_max, "default": 0},
        ),
        "streams": (
            "query",
            "Stream ids with commas between; a comma or % inside one is %2C or %25.",
            {"type": "string", "minLength": 1},
        ),
        "Last-Event-ID": ("header", "The last id received; wins over the query.", position),
        "If-Match": (
            "header",
            'The position the stream must be at, in quotes; `"0"`: it must be empty.',
            {"type": "string", "pattern": '^"(0|[0-9]{15}[1-9]_[0-9]{16})"$'},
        ),
        "Idempotency-Key": (
            "header",
            "Makes the event ids of a body that states none, so that it can be sent again.",
            _header_schema(),
        ),
        "Prefer": ("header", "`return=minimal`: no payloads in the answer.", {"type": "string"}),
        "X-User-Id": ("header", "Who changes it; kept in the route.", _header_schema()),
    }
    if name == "If-Match-Revision":
        text = "The ETag of the route; only that revision is changed."
        schema = {"type": "string", "pattern": '^"[0-9]{1,18}"$'}
        return _named("header", "If-Match", text, schema)
    where, text, schema = described[name]
    return _named(where, name, text, schema, required=name == "streams")


def _key_schema(name: str) -> dict[str, Any]:
    if name == "resource_kind":
        return {"type": "string", "enum": [kind.value for kind in ResourceKind]}
    return id_schema()


def _named(
    where: str, name: str, text: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "description": text,
        "required": required,
        "schema": schema,
    }
