"""The operations on multipart uploads, for /openapi.json."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, WRITING, Described, Operation, array, member
from eventspine.api.stores.objects_described import (
    BOUNDS,
    BYTES,
    ERRORS,
    PART,
    PRESIGNED,
    PUT,
    SIZE,
    STORED,
    TEXT,
)
from eventspine.contracts.object_uploads import PARTS_MAX
from eventspine.services.object_presign import TYPE

_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": PARTS_MAX}
_SUM: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
_UPLOAD_PATH = "/v1/objects/{key}/uploads/{upload_id}"
_PART_PATH = f"{_UPLOAD_PATH}/parts/{{number}}"
_UPLOAD = member(
    upload_id=TEXT,
    key=TEXT,
    content_type=TEXT,
    created_at=_TIME,
    active_at=_TIME,
    parts=SIZE,
    size=SIZE,
    metadata={},
)
_FOUND = (*ERRORS, "upload_not_found")
_BEGIN = {
    "type": "object",
    "properties": {
        "content_type": {"type": "string", "pattern": f"^{TYPE}$"},
        "metadata": {},
    },
    "additionalProperties": False,
}
_COMPLETE = {
    "type": "object",
    "properties": {
        "parts": {**array(member(number=_NUMBER, sha256=_SUM)), "minItems": 1},
        "sha256": {"anyOf": [_SUM, {"type": "null"}]},
    },
    "required": ["parts"],
    "additionalProperties": False,
}
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/uploads",
        "listUploads",
        "objects",
        "A page of open multipart uploads in order of key and id",
        "`next` is the `after` of the next page, null at the end.",
        ("?prefix", "?row_after", "limit"),
        "headers",
        answers={
            200: Described(
                "Uploads", member(uploads=array(_UPLOAD), next={"type": ["string", "null"]}), {}
            )
        },
        errors=ERRORS,
    ),
    Operation(
        "post",
        "/v1/objects/{key}/uploads",
        "beginUpload",
        "objects",
        "Begin a multipart upload",
        "One that nothing comes to for `upload_idle_s_max` is given up.",
        (),
        "headers",
        body=_BEGIN,
        answers={201: Described("The upload", _UPLOAD, {})},
        errors=(*ERRORS, *WRITING, *BODY, "too_many_uploads"),
    ),
    Operation(
        "get",
        _UPLOAD_PATH,
        "listParts",
        "objects",
        "An upload and a page of its parts in order of number",
        "",
        ("?part_after", "limit"),
        "headers",
        answers={
            200: Described(
                "Parts",
                member(upload=_UPLOAD, parts=array(PART), next={"type": ["integer", "null"]}),
                {},
            )
        },
        errors=_FOUND,
    ),
    Operation(
        "delete",
        _UPLOAD_PATH,
        "abortUpload",
        "objects",
        "End an upload and delete its parts",
        "",
        (),
        "headers",
        answers={204: "nothing"},
        errors=(*_FOUND, *WRITING),
    ),
    Operation(
        "put",
        _PART_PATH,
        "putPart",
        "objects",
        "Store one part",
        "In place of the one of this number. With X-Object-Sha256 only if it is that.",
        (),
        "headers",
        body=BYTES,
        answers={200: Described("The part as stored", PART, {})},
        errors=(*PUT, "upload_not_found", "invalid_parts", "checksum_mismatch"),
    ),
    Operation(
        "post",
        f"{_PART_PATH}/presign",
        "presignPart",
        "objects",
        "An address where one part can be put for a while",
        "Whoever has it needs nothing else. The upload, the number, the type, the largest size "
        "and the end are part of it.",
        (),
        "headers",
        body={"type": "object", "properties": BOUNDS, "additionalProperties": False},
        answers={200: PRESIGNED},
        errors=(*_FOUND, *BODY, "invalid_parts"),
    ),
    Operation(
        "post",
        f"{_UPLOAD_PATH}/complete",
        "completeUpload",
        "objects",
        "Join the parts to the object",
        "`parts` names each by number and SHA-256, in order of number. Whole or not at all; with "
        "the conditions of a PUT. Completing again what is the object already answers it.",
        ("If-Match-Object", "If-None-Match"),
        "headers",
        body=_COMPLETE,
        answers={200: STORED},
        errors=(
            *_FOUND,
            *WRITING,
            *BODY,
            "invalid_parts",
            "precondition_failed",
            "checksum_mismatch",
        ),
    ),
)
