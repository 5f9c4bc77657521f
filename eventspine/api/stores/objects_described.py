"""The operations on objects, for /openapi.json."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.parameters import id_schema
from eventspine.contracts.limits import Limits
from eventspine.contracts.object_uploads import PARTS_MAX
from eventspine.services.object_presign import TYPE
from eventspine.services.upload_grants import EXPIRES_S_MAX

TEXT: dict[str, Any] = {"type": "string"}
SIZE: dict[str, Any] = {"type": "integer", "minimum": 0}
BYTES: dict[str, Any] = {"type": "string", "format": "binary"}
_OBJECT = member(
    key=TEXT,
    size=SIZE,
    sha256=TEXT,
    content_type=TEXT,
    etag=TEXT,
    version=SIZE,
    created_at={"type": "string", "format": "date-time"},
    metadata={},
)
PART = member(
    number={"type": "integer", "minimum": 1, "maximum": PARTS_MAX},
    size=SIZE,
    sha256={"type": "string", "pattern": "^[0-9a-f]{64}$"},
    created_at={"type": "string", "format": "date-time"},
)
STORED = Described("The object as stored", _OBJECT, {"ETag": "Of this content"})
_HEADERS = {"ETag": "Of this content", "X-Object-Sha256": "SHA-256 of the whole object"}
ERRORS = (*OWNER, "no_route_configured")
PUT = (*ERRORS, *WRITING, "too_large", "request_timeout", "precondition_failed")
BOUNDS: dict[str, Any] = {
    "content_type": {"type": "string", "pattern": f"^{TYPE}$"},
    "size_max": {"anyOf": [{**SIZE, "maximum": Limits().object_bytes_max}, {"type": "null"}]},
    "expires_s": {"type": "number", "exclusiveMinimum": 0, "maximum": EXPIRES_S_MAX},
}
PRESIGNED = Described(
    "The address",
    member(
        method={"const": "PUT"},
        path=TEXT,
        content_type=TEXT,
        size_max=SIZE,
        expires_at=SIZE,
    ),
    {},
)
_PRESIGN = {
    "type": "object",
    "properties": {"key": id_schema(), **BOUNDS},
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
        errors=ERRORS,
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
            200: Described("The bytes, as the type they came with", BYTES, _HEADERS),
            206: Described("The range", BYTES, {**_HEADERS, "Content-Range": "Which bytes"}),
        },
        errors=(*ERRORS, "object_not_found", "range_not_satisfiable"),
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
        body=BYTES,
        answers={200: STORED},
        errors=(*PUT, "checksum_mismatch"),
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
        errors=(*ERRORS, *WRITING, "precondition_failed", "object_not_found"),
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
        answers={200: STORED},
        errors=(*ERRORS, *WRITING, *BODY, "object_not_found"),
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
        answers={200: PRESIGNED},
        errors=(*ERRORS, *BODY),
    ),
    Operation(
        "put",
        "/v1/uploads/{token}",
        "upload",
        "objects",
        "Put the object, or the part of one, that a signed address is for",
        "Content-Type must be the one that was signed. For a part, the answer is the part.",
        body=BYTES,
        answers={
            200: Described("The object or the part as stored", {"anyOf": [STORED.schema, PART]}, {})
        },
        errors=(
            *("invalid_id", *PUT, "no_route_configured", "upload_refused"),
            *("checksum_mismatch", "upload_not_found"),
        ),
    ),
)
