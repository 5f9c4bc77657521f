"""One operation of the front, as openapi.py reads it; the codes of errors that come in groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

EVERYWHERE = ("invalid_request",)
CONTEXT = ("invalid_id", "context_missing", "context_conflict", "no_route_configured")
OWNER = (
    "scope_mismatch",
    "unsupported_backend",
    "backend_refused_in_mode",
    "backend_not_declared",
    "secret_unavailable",
    "store_unavailable",
    "store_corrupt",
    "overloaded",
    "deadline_exceeded",
    "quarantined",
    "route_moved",
    "draining",
)
WRITING = ("outcome_unknown", "store_full", "stream_closed")
BODY = ("invalid_json", "too_large", "unsupported_media_type", "request_timeout")


class Described(NamedTuple):
    """An answer that is JSON: what it is, its schema, header fields with what they say."""

    description: str
    schema: dict[str, Any]
    headers: dict[str, str]


def member(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that has all of these and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


def array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[str, ...] = ()
    context: str = ""  # "headers", or "query" for addresses that browsers' EventSource opens
    body: str | dict[str, Any] = ""  # a name that openapi.py knows, or a schema
    answers: dict[int, str | Described] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
