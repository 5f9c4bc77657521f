"""The endpoints of tables: rows by key, pages by prefix, batches.

A row's version is its ETag: PUT and DELETE take it in If-Match, and `If-None-Match: *` wants no row
there. `ttl_s` on a PUT lets the row expire. Keys are percent-encoded in the address.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.json_body import decoded
from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.service import SpineService
from eventspine.contracts.entries import TTL_S_MAX
from eventspine.contracts.errors import InvalidRequest, RowNotFound
from eventspine.contracts.json_text import json_text
from eventspine.contracts.rows import Row
from eventspine.services.tabular import TabularStoreService


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    """One operation of a batch, as it is sent."""

    key: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    delete: bool = False
    if_version: int | None = None
    ttl_s: float | None = None


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    operations: list[_Part]


_batch = msgspec.json.Decoder(_Batch)


class TableEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute("/v1/tables/{table_name}/rows", {"GET": self.page}),
            RawRoute(
                "/v1/tables/{table_name}/rows/{key}",
                {"GET": self.get, "PUT": self.put, "DELETE": self.delete},
            ),
            RawRoute("/v1/tables/{table_name}/batch", {"POST": self.batch}),
        ]

    async def page(self, call: Call) -> ASGIApp:
        prefix, after, limit = query.prefix_page(call.query, self._limits.page_events_default)
        page = await self._tables(call).page(
            call.parameters["table_name"], prefix, after=after, limit=limit
        )
        rows = [row.as_json() for row in page.rows]
        return json_answer(200, {"rows": rows, "next": page.next}, [NO_STORE])

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        row = await self._tables(call).get_row(*_address(call))
        if row is None:
            raise RowNotFound(f"no row {call.parameters['key'][:100]!r}")
        return _row_answer(200, row)

    async def put(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["ttl_s"])
        ttl_s = query.seconds(values, "ttl_s", TTL_S_MAX) if "ttl_s" in values else None
        negotiation.require_json(call.fields)
        tables, if_version = self._tables(call), negotiation.expected_version(call.fields)
        json = json_text(await read_body(call.receive, call.fields, self._limits.body_bytes_max))
        row = await tables.upsert_json(*_address(call), json, if_version=if_version, ttl_s=ttl_s)
        return _row_answer(200, row)

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        if not await self._tables(call).delete(
            *_address(call), if_version=negotiation.expected_version(call.fields)
        ):
            raise RowNotFound(f"no row {call.parameters['key'][:100]!r}")
        return Answer(204)

    async def batch(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        negotiation.require_json(call.fields)
        tables = self._tables(call)
        body = await read_body(call.receive, call.fields, self._limits.body_bytes_max)
        operations = [
            tables.operation(one.key, _data(one, n), if_version=one.if_version, ttl_s=one.ttl_s)
            for n, one in enumerate(decoded(_batch, body).operations)
        ]
        rows = await tables.write(call.parameters["table_name"], operations)
        found = [None if row is None else row.as_json() for row in rows]
        return json_answer(200, {"rows": found}, [NO_STORE])

    def _tables(self, call: Call) -> TabularStoreService:
        return self._spine.tables(self._contexts.read(call.fields, call.request_id))


def _address(call: Call) -> tuple[str, str]:
    return call.parameters["table_name"], call.parameters["key"]


def _data(one: _Part, number: int) -> bytes | None:
    if one.delete == (one.data is not msgspec.UNSET):
        raise InvalidRequest(f"operation {number} must have either data or delete")
    if isinstance(one.data, msgspec.UnsetType):
        return None
    return json_text(bytes(one.data), f"operation {number}: data")


def _row_answer(status: int, row: Row) -> Answer:
    return json_answer(status, row.as_json(), [(b"etag", b'"%d"' % row.version), NO_STORE])


# --- what they are, for /openapi.json ---------------------------------------------------------

_VERSION: dict[str, Any] = {"type": "integer", "minimum": 0}
_ROW: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "data": {},
        "version": _VERSION,
        "updated_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": "string", "format": "date-time"},
    },
    "required": ["data", "key", "updated_at", "version"],
}
_PART: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "data": {},
        "delete": {"type": "boolean"},
        "if_version": {"anyOf": [_VERSION, {"type": "null"}]},
        "ttl_s": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["key"],
    "additionalProperties": False,
}
_ERRORS = (*OWNER, "no_route_configured")
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/tables/{table_name}/rows",
        "listRows",
        "tables",
        "A page of rows in key order",
        "`next` is the `after` of the next page, null at the end.",
        ("?prefix", "?row_after", "limit"),
        "headers",
        answers={
            200: Described("Rows", member(rows=array(_ROW), next={"type": ["string", "null"]}), {})
        },
        errors=_ERRORS,
    ),
    Operation(
        "get",
        "/v1/tables/{table_name}/rows/{key}",
        "getRow",
        "tables",
        "One row",
        "",
        (),
        "headers",
        answers={200: Described("The row", _ROW, {"ETag": "Its version"})},
        errors=(*_ERRORS, "row_not_found"),
    ),
    Operation(
        "put",
        "/v1/tables/{table_name}/rows/{key}",
        "putRow",
        "tables",
        "Write a row",
        "Any JSON document. With If-Match only if the row is at that version, with "
        "`If-None-Match: *` only if there is none; `ttl_s` lets it expire.",
        ("If-Match-Version", "If-None-Match", "ttl_s"),
        "headers",
        body={},
        answers={200: Described("The row as stored", _ROW, {"ETag": "Its version"})},
        errors=(*_ERRORS, *WRITING, *BODY, "precondition_failed"),
    ),
    Operation(
        "delete",
        "/v1/tables/{table_name}/rows/{key}",
        "deleteRow",
        "tables",
        "Delete a row",
        "",
        ("If-Match-Version", "If-None-Match"),
        "headers",
        answers={204: "nothing"},
        errors=(*_ERRORS, *WRITING, "precondition_failed", "row_not_found"),
    ),
    Operation(
        "post",
        "/v1/tables/{table_name}/batch",
        "writeRows",
        "tables",
        "Several upserts and deletes: all of them or none",
        "Each operation has `data` or `delete: true`. Answers the row as it is after each of them, "
        "null after a deletion.",
        (),
        "headers",
        body=member(operations=array(_PART)),
        answers={
            200: Described("The rows", member(rows=array({"anyOf": [_ROW, {"type": "null"}]})), {})
        },
        errors=(*_ERRORS, *WRITING, *BODY, "precondition_failed"),
    ),
)
