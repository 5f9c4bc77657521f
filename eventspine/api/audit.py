"""The endpoint of the audit: a record of what somebody did, by whoever did it.

Reading needs none: the records are the stream `audit` on the surface `audit`.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, json_answer
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, member
from eventspine.api.parameters import id_schema
from eventspine.api.routing.parts import json_members
from eventspine.api.service import SpineService
from eventspine.contracts.audit import AUDIT_SURFACE, audit_event, places
from eventspine.contracts.errors import InvalidRequest

_OBJECTS = ("metadata", "input_data", "output_data")


class AuditEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._audit = spine.audit
        self._contexts = contexts
        self._bytes_max = spine.settings.limits.body_bytes_max

    def routes(self) -> list[BaseRoute]:
        return [RawRoute("/v1/audit", {"POST": self.emit})]

    async def emit(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        context = self._contexts.read(call.fields, call.request_id)
        members = await json_members(call, self._bytes_max)
        event = audit_event(context, **_record(members))
        kept = await self._audit.keep(places(context), [event], str(members["action"]))
        return json_answer(200, {"kept": kept}, [NO_STORE])


def _record(members: dict[str, Any]) -> dict[str, Any]:
    """The parts of a record in a body. Raises InvalidRequest."""
    unknown = sorted(members.keys() - {"action", "surface", *_OBJECTS})
    if unknown:
        raise InvalidRequest(f"a record has no {unknown[0][:100]!r}", parameter=unknown[0][:100])
    record = {"surface": AUDIT_SURFACE, **members}
    for name in ("action", "surface"):
        if not isinstance(record.get(name), str):
            raise InvalidRequest(f"{name} must be a text", parameter=name)
    for name in _OBJECTS:
        if not isinstance(record.get(name), dict | None):
            raise InvalidRequest(f"{name} must be an object or null", parameter=name)
    return record


# --- what it is, for /openapi.json ------------------------------------------------------------

_ID = id_schema()
_OBJECT_OR_NULL: dict[str, Any] = {"type": ["object", "null"]}
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post",
        "/v1/audit",
        "emitAuditRecord",
        "audit",
        "Keep a record of what was done",
        "In the stream `audit` on the surface `audit` of the tenant, where it is read like any "
        "event. What looks like a secret is left out. `kept` is false when the record is lost, "
        "which a strict audit answers with `audit_unavailable` instead.",
        (),
        "headers",
        {
            **member(
                action=_ID,
                surface=_ID,
                metadata=_OBJECT_OR_NULL,
                input_data=_OBJECT_OR_NULL,
                output_data=_OBJECT_OR_NULL,
            ),
            "required": ["action"],
        },
        {200: Described("Whether it is kept", member(kept={"type": "boolean"}), {})},
        (*OWNER, *WRITING, *BODY, "invalid_event", "audit_unavailable"),
    ),
)
