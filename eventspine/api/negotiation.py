"""What a request says about itself in headers: pure parsing."""

from __future__ import annotations

from eventspine.api.fields import Fields
from eventspine.api.refusals import UnsupportedMediaType
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import InvalidCursor, InvalidRequest
from eventspine.contracts.ids import checked_id

JSON_TYPES = frozenset(["application/json"])
NDJSON_TYPES = frozenset(["application/x-ndjson", "application/ndjson"])
EVENT_STREAM = "text/event-stream"
NO_VERSION = 2**62


def is_ndjson(fields: Fields) -> bool:
    """Whether the body is one event a line. No type at all means JSON.

    Other types are refused, also because a browser sends text/plain and form bodies across
    origins without asking first.
    """
    text = fields.text(b"content-type")
    if text is None:
        return False
    media, *parameters = [part.strip().lower() for part in text.split(";")]
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise _unsupported(text)
    if media in NDJSON_TYPES:
        return True
    if media in JSON_TYPES:
        return False
    raise _unsupported(text)


def require_json(fields: Fields) -> None:
    if is_ndjson(fields):
        raise UnsupportedMediaType("one JSON document is expected", supported=["application/json"])


def _unsupported(text: str) -> UnsupportedMediaType:
    supported = [*sorted(JSON_TYPES), "application/x-ndjson"]
    return UnsupportedMediaType(f"Content-Type {text[:100]!r} is not taken", supported=supported)


def wants_event_stream(fields: Fields) -> bool:
    """Accept names text/event-stream (a `*/*` does not: curl sends it and wants a page)."""
    for part in fields.joined(b"accept").lower().split(","):
        media, *parameters = [piece.strip() for piece in part.split(";")]
        if media == EVENT_STREAM:
            return not any(p.replace(" ", "") in ("q=0", "q=0.0", "q=0.00") for p in parameters)
    return False


def wants_minimal(fields: Fields) -> bool:
    """Prefer: return=minimal (RFC 7240); preferences that we do not know are ignored."""
    if b"prefer" not in fields:
        return False
    for part in fields.joined(b"prefer").lower().replace(";", ",").split(","):
        if part.strip().replace('"', "").replace(" ", "") == "return=minimal":
            return True
    return False


def idempotency_key(fields: Fields) -> str | None:
    """The key, with or without the quotes of the IETF draft."""
    text = fields.text(b"idempotency-key")
    if text is None:
        return None
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    return checked_id(text, "Idempotency-Key")


def entity_tag(fields: Fields) -> str | None:
    """The one strong entity tag in If-Match, without its quotes."""
    text = fields.text(b"if-match")
    if text is None:
        return None
    if len(text) < 3 or text[0] != '"' or text[-1] != '"' or '"' in text[1:-1]:
        raise InvalidRequest(
            'If-Match must be one position in double quotes, such as "0"', parameter="If-Match"
        )
    return text[1:-1]


def expected_version(fields: Fields) -> int | None:
    """The version that If-Match names; 0 for `If-None-Match: *`.

    Both together is `NO_VERSION`: what nothing is at, so that it is refused as any other (412),
    after everything else that may be wrong.
    """
    tag = entity_tag(fields)
    if tag is not None and not (tag.isascii() and tag.isdigit() and len(tag) < 19):
        raise InvalidRequest("If-Match must be an ETag as it was answered", parameter="If-Match")
    if fields.text(b"if-none-match") == "*":
        return 0 if tag is None else NO_VERSION
    return None if tag is None else int(tag)


def expected_position(fields: Fields) -> str | None:
    """The cursor in If-Match, or `0` for a stream that must be empty."""
    tag = entity_tag(fields)
    if tag is not None and tag != "0" and not Cursor.looks_like(tag):
        raise InvalidCursor(f"If-Match is not a cursor: {tag[:64]!r}", requested=tag[:64])
    return tag
