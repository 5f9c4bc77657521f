"""A RequestContext as the headers of a request (docs/PROTOCOL.md, "Context")."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from eventspine.contracts.context import RequestContext

_HEADERS = {
    "tenant_id": b"X-Tenant-Id",
    "env": b"X-Env",
    "mode": b"X-Mode",
    "project_id": b"X-Project-Id",
    "app_id": b"X-App-Id",
    "surface_id": b"X-Surface-Id",
    "user_id": b"X-User-Id",
    "request_id": b"X-Request-Id",
    "run_id": b"X-Run-Id",
}
_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def headers_of(context: RequestContext | Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    """The headers that state `context`; none at all when the server's own default is meant.

    Values are UTF-8: a surface may be called `SQUARED²`.
    """
    if context is None:
        return []
    values = context.model_dump() if isinstance(context, RequestContext) else context
    headers = [(name, values[key].encode()) for key, name in _HEADERS.items() if values.get(key)]
    trace_id = values.get("trace_id") or ""
    if _TRACE_ID.fullmatch(trace_id):
        span = secrets.token_hex(8)
        headers.append((b"traceparent", f"00-{trace_id}-{span}-01".encode()))
    return headers
