"""The request context of an HTTP request: headers, and on SSE addresses query parameters too.

Rules: a value stated twice must be the same both times (ContextConflict), wherever it was stated.
The operator's lab context completes only requests that do not name another mode: outside lab there
is no default. A traceparent that is not W3C trace context level 1 is ignored and replaced.
Values are UTF-8 as they are, never percent-decoded: a tenant may be called `50%25`.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from functools import lru_cache

from eventspine.api.fields import Fields, decoded, shown
from eventspine.contracts.context import RequestContext, context_of
from eventspine.contracts.errors import ContextConflict, EventspineError
from eventspine.contracts.ids import checked_id
from eventspine.contracts.settings import Settings

HEADERS: Mapping[str, bytes] = {
    "tenant_id": b"x-tenant-id",
    "env": b"x-env",
    "mode": b"x-mode",
    "project_id": b"x-project-id",
    "app_id": b"x-app-id",
    "surface_id": b"x-surface-id",
    "user_id": b"x-user-id",
    "run_id": b"x-run-id",
    "request_id": b"x-request-id",
}
QUERY_NAMES = frozenset(HEADERS)
REQUEST_ID = b"x-request-id"

_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII
)
_PROCESS = os.urandom(6).hex()
_count = itertools.count(1)


def new_request_id() -> str:
    """Unique, short, and cheap: it is stored with every event of the request."""
    return f"{_PROCESS}-{next(_count):x}"


def request_id_of(fields: Fields) -> str:
    """The id the client gave, if it is usable as one; a generated one otherwise."""
    raw = fields.get(REQUEST_ID)
    if raw is None:
        return new_request_id()
    try:
        return checked_id(decoded(REQUEST_ID, raw.strip(b" \t")), "request_id")
    except EventspineError:
        return new_request_id()  # the endpoint refuses it, under an id that can be logged


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id of a traceparent; a new one for a header that is not valid; None for none."""
    if traceparent is None:
        return None
    return stated_trace_id(traceparent) or os.urandom(16).hex()


def stated_trace_id(traceparent: str) -> str | None:
    """The trace id of a valid traceparent; None for any other text."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[3] is not None):
        return None
    return match[2]


class ContextReader:
    """Contexts for one set of settings; the last few thousand scopes are remembered."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scoped = lru_cache(maxsize=4096)(self._build)

    def read(
        self, fields: Fields, request_id: str, query: Mapping[str, str] | None = None
    ) -> RequestContext:
        """Raises ContextMissing, ContextConflict, InvalidId, InvalidRequest."""
        stated = {name: _stated(fields, name, header) for name, header in HEADERS.items()}
        if query:
            _merge(stated, query)
        own_id = stated.pop("request_id")
        context = self._scoped(*stated.values())
        raw = fields.get(b"traceparent")
        traceparent = None if raw is None else raw.decode("latin-1").strip()
        return context.for_request(
            request_id if own_id is None else checked_id(own_id, "request_id"),
            trace_id_of(traceparent),
        )

    def _build(self, *values: str | None) -> RequestContext:
        stated = dict(zip(HEADERS, values, strict=False))
        if stated["surface_id"] is not None:
            checked_id(stated["surface_id"], "surface_id")  # stated and empty is not left out
        lab = self._settings.lab
        use_lab = lab is not None and stated["mode"] in (None, lab.mode)
        defaults = lab.model_dump() if lab is not None and use_lab else None
        return context_of(stated, defaults, self._settings.surface_aliases)


def _stated(fields: Fields, name: str, header: bytes) -> str | None:
    raw = fields.get(header)
    if raw is None:
        return None
    if len(fields.all(header)) > 1 and len({v.strip(b" \t") for v in fields.all(header)}) > 1:
        raise ContextConflict(f"{shown(header)} is sent twice and differs", field=name)
    return decoded(header, raw.strip(b" \t"))


def _merge(stated: dict[str, str | None], query: Mapping[str, str]) -> None:
    for name in QUERY_NAMES & query.keys():
        if stated[name] is None:
            stated[name] = query[name]
        elif stated[name] != query[name]:
            raise ContextConflict(
                f"{shown(HEADERS[name])} and ?{name}= state different values", field=name
            )
