"""/openapi.json: OpenAPI 3.1 from the pydantic models and the table of operations."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Any

import orjson
from pydantic.json_schema import models_json_schema
from starlette.types import ASGIApp

from eventspine.api.answer import JSON, Answer
from eventspine.api.call import Call
from eventspine.api.catalogue import Row, catalogue
from eventspine.api.operation import CONTEXT, EVERYWHERE, Described, Operation
from eventspine.api.operations import EVENT_EXAMPLE, OPERATIONS
from eventspine.api.parameters import (
    context_headers,
    context_query,
    id_schema,
    parameter,
    path_parameters,
)
from eventspine.api.service import SpineService
from eventspine.contracts.event import NewEvent, StreamEvent
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceRoute, RouteSpec
from eventspine.contracts.version import VERSION

_PROBLEM = "application/problem+json"
_CURSOR = {"type": "string", "pattern": "^[0-9]{16}_[0-9]{16}$"}


class OpenApiEndpoint:
    def __init__(self, spine: SpineService) -> None:
        self._limits = spine.settings.limits

    @cached_property
    def _bytes(self) -> bytes:
        """Made when it is asked for: a command that opens a root for itself never does."""
        return orjson.dumps(openapi(self._limits))

    async def document(self, call: Call) -> ASGIApp:
        return Answer(200, self._bytes, JSON, [(b"cache-control", b"no-cache")])


def openapi(limits: Limits) -> dict[str, Any]:
    rows = {row.code: row for row in catalogue()}
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method] = _operation(operation, rows, limits)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "eventspine",
            "version": VERSION,
            "description": "Durable multi-tenant event streams. An acknowledged event is on disk.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {"schemas": _schemas(sorted(rows))},
    }


def _operation(operation: Operation, rows: dict[str, Row], limits: Limits) -> dict[str, Any]:
    parameters = path_parameters(operation.path)
    parameters += [parameter(name, limits) for name in operation.parameters]
    if operation.context:
        parameters += context_headers()
    if operation.context == "query":
        parameters += context_query()
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": _responses(operation, rows),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body != "":
        described["requestBody"] = _body(operation.body)
    return described


def _body(kind: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, dict):
        media_type = _media_type(kind)
        return {"required": True, "content": {media_type: {"schema": kind}}}
    if kind != "events":
        name = "RouteSpec" if kind == "route" else "RouteChange"
        return {"required": True, "content": {"application/json": {"schema": _ref(name)}}}
    many = {"type": "array", "items": _ref("NewEvent"), "minItems": 1}
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [_ref("NewEvent"), many]},
                "examples": {
                    "one": {"value": EVENT_EXAMPLE},
                    "batch": {"value": [EVENT_EXAMPLE, EVENT_EXAMPLE]},
                },
            },
            "application/x-ndjson": {
                "schema": {
                    "type": "string",
                    "description": "One NewEvent a line.",
                    "examples": [orjson.dumps(EVENT_EXAMPLE).decode() + "\n"],
                }
            },
        },
    }


# --- responses ----------------------------------------------------------------------------------


def _responses(operation: Operation, rows: dict[str, Row]) -> dict[str, Any]:
    responses = {str(status): _answer(kind) for status, kind in operation.answers.items()}
    changes = () if operation.method == "get" else ("origin_refused",)
    codes = [*EVERYWHERE, *changes, *(CONTEXT if operation.context else ()), *operation.errors]
    by_status: dict[int, list[Row]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        row = rows[code.rstrip("!")]
        # a route the mode guard refuses is wrong (422); a stream behind one is out of order (503)
        by_status[422 if code.endswith("!") else row.status].append(row)
    for status, found in sorted(by_status.items()):
        responses[str(status)] = _problems(status, found)
    return responses


def _problems(status: int, rows: list[Row]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": "\n".join(f"* `{row.code}`: {row.title}. {row.remedy}" for row in rows),
        "content": {_PROBLEM: {"schema": _ref("Problem")}},
        "headers": {"X-Request-Id": _header("The request, for the operator's log")},
    }
    if status in (429, 503):
        answer["headers"]["Retry-After"] = _header("Seconds until another try is worth it")
    if status == 412:
        answer["headers"]["ETag"] = _header("The current position, for the next If-Match")
    return answer


def _answer(kind: str | Described) -> dict[str, Any]:
    if isinstance(kind, Described):
        headers = {name: _header(text) for name, text in kind.headers.items()}
        return _described(kind.description, _media_type(kind.schema), kind.schema, headers)
    position = {
        "ETag": _header("The head in quotes, for If-Match of the next append"),
        "X-Stream-Head": _header("Cursor of the last event"),
    }
    standing = {
        **position,
        "X-Stream-Earliest": _header("The position before the first event"),
        "X-Stream-Closed": _header("true: the stream takes no further event"),
    }
    applied = {"Preference-Applied": _header("return=minimal")}
    json = "application/json"
    answers: dict[str, dict[str, Any]] = {
        "appended": _described("Stored", json, _ref("Appended"), {**position, **applied}),
        "stored": _described(
            "Stored", json, {"anyOf": [_ref("StreamEvent"), _ref("Appended")]}, position
        ),
        "page": _described("A page", json, _ref("Page"), standing),
        "selection": _described("What matched", json, _ref("Selection"), standing),
        "head": {"description": "Where it stands", "headers": standing},
        "standing": _described("Closed", json, _ref("Standing"), standing),
        "sse": _described("Events as they come", "text/event-stream", {"type": "string"}),
        "nothing": {"description": "Done; no content"},
        "route": _described(
            "The route", json, _ref("ResourceRoute"), {"ETag": _header("Revision")}
        ),
        "routes": _described("The routes", json, _ref("Routes")),
        "readiness": _described("Readiness by check", json, _ref("Readiness")),
        "object": _described("A small object", json, {"type": "object"}),
        "metrics": _described("Exposition format", "text/plain", {"type": "string"}),
    }
    return answers[kind]


def _described(
    description: str, media_type: str, schema: dict[str, Any], headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {media_type: {"schema": schema}},
    }
    if headers:
        answer["headers"] = headers
    return answer


def _media_type(schema: dict[str, Any]) -> str:
    return "application/octet-stream" if schema.get("format") == "binary" else "application/json"


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


# --- schemas ------------------------------------------------------------------------------------


def _schemas(codes: list[str]) -> dict[str, Any]:
    _, made = models_json_schema(
        [
            (NewEvent, "validation"),
            (StreamEvent, "validation"),
            (RouteSpec, "validation"),
            (ResourceRoute, "serialization"),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = made["$defs"]
    _narrow(schemas)
    schemas["Appended"] = _object(
        {
            "events": {
                "type": "array",
                "items": {"anyOf": [_ref("StreamEvent"), _ref("ShortEvent")]},
            },
            "head": _CURSOR,
            "duplicates": {"type": "integer", "minimum": 0},
        }
    )
    short = {"sequence": {"type": "integer"}, "cursor": _CURSOR, "event_id": {"type": "string"}}
    schemas["ShortEvent"] = _object(short)
    schemas["Page"] = _object(
        {
            "events": {"type": "array", "items": _ref("StreamEvent")},
            "next": _CURSOR,
            "head": _CURSOR,
            "earliest": _CURSOR,
            "closed": {"type": "boolean"},
        }
    )
    schemas["Selection"] = _object(
        {
            **schemas["Page"]["properties"],
            "read": {"type": "integer", "minimum": 0},
            "complete": {"type": "boolean"},
        }
    )
    standing = {"head": _CURSOR, "earliest": _CURSOR, "closed": {"type": "boolean"}}
    schemas["Standing"] = _object(standing)
    schemas["Routes"] = _object(
        {
            "routes": {"type": "array", "items": _ref("ResourceRoute")},
            "revision": {"type": "integer"},
            "lab": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
        }
    )
    schemas["Readiness"] = _object({"ready": {"type": "boolean"}, "checks": {"type": "object"}})
    schemas["Problem"] = _problem_schema(codes)
    return schemas


def _narrow(schemas: dict[str, Any]) -> None:
    """What the service checks and the models do not say: ids, and the key of a change."""
    event = schemas["NewEvent"]["properties"]
    event["event_type"] |= id_schema()
    for name in ("event_id", "stream_id"):
        event[name]["anyOf"] = [id_schema(), {"type": "null"}]
    route = schemas["RouteSpec"]["properties"]
    for name in ("tenant_id", "env", "mode", "project_id"):
        route[name] |= id_schema()
    schemas["ResourceRoute"]["properties"]["health"] = {"type": "object"}  # as answers have it
    schemas["RouteChange"] = {
        **schemas["RouteSpec"],
        "title": "RouteChange",
        "description": "A route whose key is in the address; where stated, it must agree.",
        "required": [],
    }


def _problem_schema(codes: list[str]) -> dict[str, Any]:
    text = {"type": "string"}
    schema = _object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "code": {"type": "string", "enum": codes},
            "remedy": text,
            "outcome": {"type": "string", "enum": ["refused", "never_ran", "unknown"]},
            "instance": text,
            "request_id": text,
        }
    )
    return {**schema, "additionalProperties": True, "description": "RFC 9457, with our members."}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}
