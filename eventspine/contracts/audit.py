"""The audit record: who did what, to what, and what came of it. Pure.

    {"action": "routing.update", "surface": "routing", "metadata": {…}, "input_data": {…},
     "output_data": null, "trace_id": "…", "request_id": "…", "actor_type": "human"}

Rules: a record is the payload of an event of type `audit`, in the stream `audit` on the surface
`audit` of its tenant, env and project. Its sequence is dense and its line is kept byte for byte,
so that a chain of hashes can be laid over the stream as it lies (decision 0022). The `surface` of a
record is what it is about, and no path. No secret gets into a record: see `without_secrets`.
Source: FN-24, FLD-26, SYS-08, R-07.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from eventspine.contracts.asking import NOBODY, Asking
from eventspine.contracts.context import DEFAULT_PROJECT, RequestContext
from eventspine.contracts.ids import checked_id
from eventspine.contracts.route import WILDCARD, ResourceKind, RouteKey
from eventspine.contracts.secrets import SCHEME

SYSTEM_TENANT = "t_system"
SYSTEM_ENV = "system"
SYSTEM_SURFACE = "_"
AUDIT_SURFACE = "audit"
AUDIT_STREAM = "audit"
AUDIT_TYPE = "audit"
TIMELINE_STREAM = "routing"

REDACTED = "[redacted]"
DEPTH_MAX = 32
NAMES_MAX = 4096
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)?s?$|secret|token|credential|authorization|cookie|bearer|signature"
    r"|(api|access|account|private|signing|encryption|shared|sas|auth)[-_ ]?keys?$"
    r"|connection[-_ ]?string|^sas$|^dsn$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(://)[^/\s@]+@")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]+", re.IGNORECASE)


def audit_event(
    context: RequestContext,
    action: str,
    surface: str = AUDIT_SURFACE,
    metadata: Mapping[str, Any] | None = None,
    input_data: Mapping[str, Any] | None = None,
    output_data: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The event that holds a record. Raises InvalidId."""
    return {
        "event_type": AUDIT_TYPE,
        "payload": {
            "action": checked_id(action, "action"),
            "surface": checked_id(surface, "surface"),
            "metadata": without_secrets(metadata),
            "input_data": without_secrets(input_data),
            "output_data": without_secrets(output_data),
            "trace_id": context.trace_id,
            "request_id": context.request_id,
            "actor_type": context.actor_type,
        },
    }


# --- where it is kept ---


def places(context: RequestContext) -> list[RequestContext]:
    """Where a record may be kept, the best place first: with its tenant, or with the system's."""
    own = context.model_copy(update={"surface_id": AUDIT_SURFACE})
    return [own] if own.tenant_id == SYSTEM_TENANT else [own, _system(own, context.env)]


def places_of_row(key: RouteKey, who: Asking = NOBODY) -> list[RequestContext]:
    """The same for a row of the registry; one that stands for many scopes is the system's."""
    asked = {name: value for name, value in who._asdict().items() if value is not None}
    if not key.wild:
        scope = {"env": key.env, "mode": key.mode, "project_id": key.project_id}
        return places(RequestContext(tenant_id=key.tenant_id, **scope, **asked))
    env = SYSTEM_ENV if key.env == WILDCARD else key.env
    return [_system(RequestContext(tenant_id=SYSTEM_TENANT, env=env, mode=key.mode, **asked), env)]


def timeline_of(key: RouteKey) -> RequestContext:
    """The scope of the stream in which interfaces follow what happens to routes (EM-01)."""
    (*_, system) = places_of_row(key)
    return system.model_copy(update={"surface_id": SYSTEM_SURFACE})


def route_keys(place: RequestContext) -> list[RouteKey]:
    """The rows of the registry that could serve a place, the most specific first."""
    kind, scope = ResourceKind.EVENT_STREAM.value, place.scope
    return RouteKey(kind, scope.tenant_id, scope.env, scope.project_id, scope.mode).rows()


def _system(context: RequestContext, env: str) -> RequestContext:
    update = {"tenant_id": SYSTEM_TENANT, "env": env, "project_id": DEFAULT_PROJECT}
    return context.model_copy(update={**update, "surface_id": AUDIT_SURFACE})


# --- what must not get in ---


def without_secrets(value: Any, depth: int = 0) -> Any:
    """A copy without what looks like a secret.

    A text, list or object whose name says that it is one goes (password, token, api_key, …), in a
    JSON Patch one whose path says so; credentials in addresses and in Authorization values go
    wherever they are. A number is never a secret: `max_tokens` stays. A reference to a secret
    stays too: it tells nothing.
    """
    if isinstance(value, str):
        if "://" not in value and " " not in value and value.isprintable():
            return value  # most texts: neither an address nor two words
        return _BEARER.sub(rf"\1 {REDACTED}", _USERINFO.sub(rf"\1{REDACTED}@", value))
    if depth >= DEPTH_MAX:
        return REDACTED if isinstance(value, Mapping | list | tuple) else value
    if isinstance(value, Mapping):
        named_by = str(value["path"]) if {"op", "path", "value"} <= value.keys() else ""
        return {
            name: REDACTED
            if _is_secret(name, part) or (name == "value" and _is_secret_path(named_by, part))
            else without_secrets(part, depth + 1)
            for name, part in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [without_secrets(part, depth + 1) for part in value]
    return value


def _is_secret(name: object, value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float):
        return False
    if isinstance(value, str) and value.startswith(SCHEME):
        return False
    return _names_a_secret(str(name))


@lru_cache(NAMES_MAX)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _is_secret_path(path: str, value: Any) -> bool:
    return any(_is_secret(part, value) for part in path.split("/") if part)
