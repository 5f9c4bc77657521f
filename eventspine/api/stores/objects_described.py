"""The operations on objects, for /openapi.json."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.parameters import id_schema
from eventspine.contracts.limits import Limits
from eventspine.services.objects import TYPE
from eventspine.services.upload_grants import EXPIRES_S_MAX

_TEXT: dict[str, Any] = {"type": "string"}
_SIZE: dict[str, Any] = {"type": "integer", "minimum": 0}
_BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_OBJECT = member(
    key=_TEXT,
    size=_SIZE,
    sha256=_TEXT,
    content_type=_TEXT,
    etag=_TEXT,
    version=_SIZE,
    created_at={"type": "string", "format": "date-time"},
    metadata={},
)
_STORED = Described("The object as stored", _OBJECT, {"ETag": "Of this content"})
_HEADERS = {"ETag": "Of this content", "X-Object-Sha256": "SHA-256 of the whole object"}
_ERRORS = (*OWNER, "no_route_configured")
_PUT = (*_ERRORS, *WRITING, "too_large", "request_timeout", "precondition_failed")
_PRESIGN = {
    "type": "object",
    "properties": {
        "key": id_schema(),
        "content_type": {"type": "string", "pattern": f"^{TYPE}$"},
        "size_max": {"anyOf": [{**_SIZE, "maximum": Limits().object_bytes_max}, {"type": "null"}]},
        "expires_s": {"type": "number", "exclusiveMinimum": 0, "maximum": EXPIRES_S_MAX},
    },
    "required": ["key"],
    "additionalProperties": False,
}
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/objects",
        "listObjects",
        "objects",
        "A page of objects in key order",
        "`next` is the `after` of the next page, null at the end.",
        ("?prefix", "?row_after", "limit"),
        "headers",
        answers={
            200: Described(
                "Objects", member(objects=array(_OBJECT), next={"type": ["string", "null"]}), {}
            )
        },
        errors=_ERRORS,
    ),
    Operation(
        "get",
        "/v1/objects/{key}",
        "getObject",
        "objects",
        "The bytes of an object",
        "A range is answered with 206. A whole object ends only if its SHA-256 is right.",
        ("Range",),
        "headers",
        answers={
            200: Described("The bytes, as the type they came with", _BYTES, _HEADERS),
            206: Described("The range", _BYTES, {**_HEADERS, "Content-Range": "Which bytes"}),
        },
        errors=(*_ERRORS, "object_not_found", "range_not_satisfiable"),
    ),
    Operation(
        "put",
        "/v1/objects/{key}",
        "putObject",
        "objects",
        "Store an object",
        "The body is streamed. With If-Match only in place of that content, with "
        "`If-None-Match: *` only if there is none, with X-Object-Sha256 only if it is that.",
        ("If-Match-Object", "If-None-Match"),
        "headers",
        body=_BYTES,
        answers={200: _STORED},
        errors=(*_PUT, "checksum_mismatch"),
    ),
    Operation(
        "delete",
        "/v1/objects/{key}",
        "deleteObject",
        "objects",
        "Delete an object and its bytes",
        "",
        ("If-Match-Object",),
        "headers",
        answers={204: "nothing"},
        errors=(*_ERRORS, *WRITING, "precondition_failed", "object_not_found"),
    ),
    Operation(
        "put",
        "/v1/objects/{key}/metadata",
        "registerAsset",
        "objects",
        "Say what an object is",
        "",
        (),
        "headers",
        body=member(metadata={}),
        answers={200: _STORED},
        errors=(*_ERRORS, *WRITING, *BODY, "object_not_found"),
    ),
    Operation(
        "post",
        "/v1/objects/presign",
        "presignUpload",
        "objects",
        "An address where one object can be put for a while",
        "Whoever has it needs nothing else. Key, type, largest size and end are part of it.",
        (),
        "headers",
        body=_PRESIGN,
        answers={
            200: Described(
                "The address",
                member(
                    method={"const": "PUT"},
                    path=_TEXT,
                    content_type=_TEXT,
                    size_max=_SIZE,
                    expires_at=_SIZE,
                ),
                {},
            )
        },
        errors=(*_ERRORS, *BODY),
    ),
    Operation(
        "put",
        "/v1/uploads/{token}",
        "upload",
        "objects",
        "Put the object that a signed address is for",
        "Content-Type must be the one that was signed.",
        body=_BYTES,
        answers={200: _STORED},
        errors=("invalid_id", *_PUT, "no_route_configured", "upload_refused"),
    ),
)
