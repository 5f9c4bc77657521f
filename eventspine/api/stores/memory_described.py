"""What the endpoints of session memory are, for /openapi.json."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member

_VERSION: dict[str, Any] = {"type": "integer", "minimum": 0}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_ENTRY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "value": {},
        "version": _VERSION,
        "updated_at": _TIME,
        "expires_at": _TIME,
        "slide_s": {"type": "number"},
    },
    "required": ["key", "updated_at", "value", "version"],
}
_EXPIRED = member(key={"type": "string"}, version=_VERSION, expires_at=_TIME)
_ANSWER: dict[int, str | Described] = {200: Described("The entry", _ENTRY, {"ETag": "Its version"})}
_ERRORS = (*OWNER, "no_route_configured")
_CHANGE = (*_ERRORS, *WRITING)
_PATH = "/v1/memory/{namespace}/entries/{key}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/memory/{namespace}/entries",
        "listEntries",
        "memory",
        "A page of entries in key order",
        "`next` is the `after` of the next page, null at the end. Expiry is not moved.",
        ("?prefix", "?row_after", "limit"),
        "headers",
        answers={
            200: Described(
                "Entries",
                member(entries=array(_ENTRY), next={"type": ["string", "null"]}),
                {},
            )
        },
        errors=_ERRORS,
    ),
    Operation(
        "get",
        _PATH,
        "getEntry",
        "memory",
        "One entry",
        "An entry that slides lives on for `slide_s` from now.",
        (),
        "headers",
        answers=_ANSWER,
        errors=(*_CHANGE, "entry_not_found"),
    ),
    Operation(
        "put",
        _PATH,
        "setEntry",
        "memory",
        "Set an entry",
        "Any JSON document. With If-Match only if the entry is at that version, with "
        "`If-None-Match: *` only if there is none. `ttl_s` lets it expire, `slide_s` so long "
        "after its last GET; without both it stays.",
        ("If-Match-Version", "If-None-Match", "?memory_ttl_s", "?slide_s"),
        "headers",
        body={},
        answers=_ANSWER,
        errors=(*_CHANGE, *BODY, "precondition_failed", "memory_full"),
    ),
    Operation(
        "delete",
        _PATH,
        "deleteEntry",
        "memory",
        "Delete an entry",
        "",
        ("If-Match-Version", "If-None-Match"),
        "headers",
        answers={204: "nothing"},
        errors=(*_CHANGE, "precondition_failed", "entry_not_found"),
    ),
    Operation(
        "get",
        f"{_PATH}/ttl",
        "getEntryTtl",
        "memory",
        "Seconds an entry has left",
        "null: it stays. Expiry is not moved.",
        (),
        "headers",
        answers={
            200: Described("Seconds", member(ttl_s={"type": ["number", "null"]}), {}),
        },
        errors=(*_ERRORS, "entry_not_found"),
    ),
    Operation(
        "post",
        f"{_PATH}/touch",
        "touchEntry",
        "memory",
        "Let an entry live for `ttl_s` from now",
        "Without `ttl_s` it stays. Its version is the same.",
        ("?memory_ttl_s",),
        "headers",
        answers=_ANSWER,
        errors=(*_CHANGE, "entry_not_found"),
    ),
    Operation(
        "post",
        f"{_PATH}/incr",
        "incrementEntry",
        "memory",
        "Add to an integer",
        "It begins at 0 and is exact to 64 bits. `ttl_s` is for an entry that begins with this; "
        "one that is there keeps its end.",
        ("?by", "?memory_ttl_s"),
        "headers",
        answers=_ANSWER,
        errors=(*_CHANGE, "not_an_integer", "memory_full", "too_large"),
    ),
    Operation(
        "post",
        "/v1/memory/{namespace}/sweep",
        "sweepMemory",
        "memory",
        "Announce what has expired, now",
        "Done by itself too. Answers what this call wrote down.",
        (),
        "headers",
        answers={200: Described("What expired", member(expired=array(_EXPIRED)), {})},
        errors=_CHANGE,
    ),
)
