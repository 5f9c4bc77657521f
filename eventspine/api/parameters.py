"""The parameters of the HTTP front, as OpenAPI describes them."""

from __future__ import annotations

import re
from typing import Any

from eventspine.api.context import HEADERS
from eventspine.api.fields import shown
from eventspine.api.query import WHOLE_MAX
from eventspine.contracts.budget import WINDOWS
from eventspine.contracts.entries import TTL_S_MAX, TTL_S_MIN
from eventspine.contracts.ids import ID_BYTES_MAX
from eventspine.contracts.limits import Limits
from eventspine.contracts.metrics import AGGREGATES, FILLS, TIERS
from eventspine.contracts.object_uploads import PARTS_MAX
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
    "metric_name": "The metric; a / inside it is written %2F.",
    "namespace": "The namespace, as `session`; a / inside it is written %2F.",
    "stream_id": "The stream; a / inside it is written %2F.",
    "reservation_id": "What was reserved; a / inside it is written %2F.",
    "policy_id": "The policy; a / inside it is written %2F.",
    "account": "An account: 1 to 8 names with a / between.",
    "unit": "What is counted; `usd` when left out.",
    "table_name": "The table; a / inside it is written %2F.",
    "token": "The signed token of the address.",
    "key": "The key; a / inside it is written %2F.",
    "upload_id": "The upload, as it was answered when it was begun.",
    "number": "The number of the part.",
    "dataset": "The dataset of analytics events; a / inside it is written %2F.",
    "collection": "The collection of vectors; a / inside it is written %2F.",
    "id": "The id of the point; a / inside it is written %2F.",
}


_NAME = r"[^/\x00-\x1f\x7f-\x9f]+"
ACCOUNT: dict[str, Any] = {
    "type": "string",
    "maxLength": ID_BYTES_MAX,
    "pattern": f"^{_NAME}(/{_NAME}){{0,7}}$",
}
_TTL: dict[str, Any] = {"type": "number", "minimum": TTL_S_MIN, "maximum": TTL_S_MAX}
_PLAIN: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "dry_run": ("query", "dry_run", "`1`: try it, change nothing.", {"enum": ["0", "1"]}),
    "rev": (
        "query",
        "rev",
        "The revision known so far; `Last-Event-ID` wins.",
        {"type": "integer", "minimum": 0, "maximum": WHOLE_MAX},
    ),
    "revision_before": (
        "query",
        "before",
        "Only changes before this revision.",
        {"type": "integer", "minimum": 1, "maximum": WHOLE_MAX},
    ),
    "changes_limit": (
        "query",
        "limit",
        "Changes at most; lowered to 1000.",
        {"type": "integer", "minimum": 1, "maximum": WHOLE_MAX, "default": 100},
    ),
    "?prefix": ("query", "prefix", "Only keys that begin so.", {"type": "string"}),
    "?row_after": ("query", "after", "Only keys behind this one.", {"type": "string"}),
    "?part_after": (
        "query",
        "after",
        "Only parts behind this number.",
        {"type": "integer", "minimum": 0, "maximum": WHOLE_MAX},
    ),
    "?window": ("query", "window", "`total` when left out.", {"enum": list(WINDOWS)}),
    "?entry_after": (
        "query",
        "after",
        "Only entries behind this `sequence`.",
        {"type": "integer", "minimum": 0, "maximum": WHOLE_MAX},
    ),
    "?by": (
        "query",
        "by",
        "What is added.",
        {"type": "integer", "minimum": -(2**53), "maximum": 2**53, "default": 1},
    ),
    "?slide_s": ("query", "slide_s", "Seconds it lives after every GET.", _TTL),
    "?memory_ttl_s": ("query", "ttl_s", "Seconds until it expires.", _TTL),
    "ttl_s": (
        "query",
        "ttl_s",
        "Seconds until it expires.",
        _TTL,
    ),
    "If-Match-Version": (
        "header",
        "If-Match",
        "The ETag of the row; only that version is changed.",
        {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    ),
    "If-Match-Object": (
        "header",
        "If-Match",
        "The ETag of the object, or `*`: only that content is changed.",
        {"type": "string", "pattern": '^("[!#-~]+"|[*])$'},
    ),
    "Range": ("header", "Range", "`bytes=0-99`: one range of bytes.", {"type": "string"}),
    "If-None-Match": ("header", "If-None-Match", "`*`: only if there is none.", {"const": "*"}),
    "?event_types": (
        "query",
        "type",
        "Only events of these types, with commas between; `chat.*`: every type that begins so.",
        {"type": "string"},
    ),
    "?since": ("query", "since", "Only events from then on: ISO 8601.", {"type": "string"}),
    "?until": ("query", "until", "Only events before then: ISO 8601.", {"type": "string"}),
    "?metadata": (
        "query",
        "metadata",
        "Only events whose metadata has these: user_id=u1,run_id=r2.",
        {"type": "string"},
    ),
    "?metric_start": ("query", "start", "From then on: ISO 8601, or seconds.", {"type": "string"}),
    "?metric_end": ("query", "end", "Before then: ISO 8601, or seconds.", {"type": "string"}),
    "?metric_step": ("query", "step", "Seconds of a window.", {"type": "string"}),
    "?metric_agg": (
        "query",
        "agg",
        f"{', '.join(AGGREGATES)}, or a percentile as p50 or p99.9.",
        {"type": "string", "default": "avg"},
    ),
    "?metric_tags": ("query", "tags", "Only series with these: a=b,c=d.", {"type": "string"}),
    "?metric_tier": (
        "query",
        "tier",
        "What is read; auto: the coarsest that the step allows.",
        {"type": "string", "enum": ["auto", *TIERS]},
    ),
    "?metric_fill": (
        "query",
        "fill",
        "What windows without points are.",
        {"type": "string", "enum": list(FILLS), "default": "null"},
    ),
    "?metric_group_by": (
        "query",
        "group_by",
        "Tags, with commas between: series with the same values of them are a group.",
        {"type": "string", "minLength": 1},
    ),
    "?metric_downsample": (
        "query",
        "downsample",
        "So many points that look like all of them, instead of the newest `limit`.",
        {"type": "integer", "minimum": 3},
    ),
    "?metric_labels": (
        "query",
        "labels",
        "Only these tags become labels; commas between. All when left out.",
        {"type": "string"},
    ),
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
    if name == "account":
        return ACCOUNT
    if name == "number":
        return {"type": "integer", "minimum": 1, "maximum": PARTS_MAX}
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
