"""The JSON of events: what comes in is parsed once here, what is kept is spliced from its bytes.

Job: bodies -> Drafts; Draft + sequence -> the stored line; a stored line -> its parts.
Rules:
- A payload is validated once and kept byte for byte (line breaks and tabs between its tokens
  removed, so that an event is one line). Kept means servable for ever, so it must be I-JSON:
  valid UTF-8, no lone surrogates, no number beyond a double, nesting up to 1024.
- A stored line is one format of parts that are mostly cached; nothing is encoded twice.
Refused: pydantic here. Building and dumping one event takes it 6.4 us, this module 1.5 us, and the
whole budget of a durable append is about 4 us (docs/decisions/0002).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
import orjson
from msgspec import Meta, Raw, Struct

from eventspine.contracts.errors import InvalidEvent, InvalidJson
from eventspine.contracts.event_id import id_time
from eventspine.contracts.ids import checked_id

Text = Annotated[str, Meta(min_length=1, max_length=255)]


class RoutingDraft(Struct, forbid_unknown_fields=True):
    tenant_id: str | None = None
    env: str | None = None
    mode: str | None = None
    project_id: str | None = None


class Draft(Struct, forbid_unknown_fields=True, gc=False):
    """An event as it was sent: everything but type and payload may be missing."""

    event_type: Text
    payload: Raw
    event_id: str | None = None
    ts: Annotated[datetime, Meta(tz=True)] | None = None
    stream_id: str | None = None
    routing: RoutingDraft | None = None
    metadata: dict[str, Any] | None = None


class StoredLine(Struct):
    """The parts of a stored line."""

    sequence: int
    cursor: str
    event_id: str
    ts: str
    event_type: str
    stream_id: str
    routing: dict[str, str]
    metadata: dict[str, Any]
    payload: Raw


class PlacedLine(Struct):
    """What every line of a stream or a journal says of its place: whose it is, and which one."""

    sequence: int
    cursor: str
    stream_id: str
    routing: dict[str, str]


class _StoredId(Struct):
    event_id: str


_one = msgspec.json.Decoder(Draft)
_many = msgspec.json.Decoder(list[Draft])
_stored = msgspec.json.Decoder(StoredLine)
_placed = msgspec.json.Decoder(PlacedLine)
_stored_id = msgspec.json.Decoder(_StoredId)
decode_one, decode_many = _one.decode, _many.decode
encode_json = msgspec.json.encode
_WHITESPACE = b" \t\r\n"
_LINE_BREAKS = b"\t\r\n"


# --- bodies ---------------------------------------------------------------------------------


def parse_body(body: bytes, *, ndjson: bool = False) -> list[Draft]:
    """The drafts in a request body: one object, an array of them, or NDJSON.

    Raises:
        InvalidJson: not UTF-8 JSON, or JSON we could not serve again.
        InvalidEvent: JSON of another shape; the text names the place (`$[3].payload`, line 4).
    """
    if ndjson:
        drafts = _parse_lines(body)
    else:
        kind = body.lstrip(_WHITESPACE)[:1]
        drafts = _decode(_many, body, "") if kind == b"[" else [_decode(_one, body, "")]
    for n, draft in enumerate(drafts):
        check_draft(draft, f"event {n}" if len(drafts) > 1 else "the event")
    return drafts


def _parse_lines(body: bytes) -> list[Draft]:
    return [
        _decode(_one, line, f"line {n}: ")
        for n, line in enumerate(body.split(b"\n"), 1)
        if line.strip(_WHITESPACE)
    ]


def _decode(decoder: Any, body: bytes, where: str) -> Any:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise InvalidJson(f"{where}not UTF-8") from None
        raise InvalidEvent(f"{where}{error}") from None
    except msgspec.DecodeError as error:
        raise InvalidJson(f"{where}{error}") from None
    except UnicodeDecodeError:
        raise InvalidJson(f"{where}not UTF-8") from None
    except RecursionError:
        raise InvalidJson(f"{where}nested too deeply") from None


def check_draft(draft: Draft, where: str) -> None:
    """Validate what decoding has not: the payload in full, the id, the type."""
    payload = draft.payload
    raw = bytes(payload)
    if raw[:1] != b"{":
        raise InvalidEvent(f"{where}: payload must be an object")
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"{where}: payload: {error}") from None
    if b"\n" in raw or b"\r" in raw or b"\t" in raw:
        raw = raw.translate(None, _LINE_BREAKS)  # inside strings they can only be escaped
    draft.payload = Raw(raw)
    _check_parts(draft, where)


def _check_parts(draft: Draft, where: str) -> None:
    if draft.event_id is not None:
        checked_id(draft.event_id, "event_id")
    event_type_json(draft.event_type)
    if draft.metadata is not None:
        dump_object(draft.metadata, f"{where}: metadata")


def draft_of(event: Mapping[str, Any]) -> Draft:
    """The draft of an event given as Python values. Raises InvalidEvent."""
    values = event.get("payload")
    if type(values) is not dict and not isinstance(values, Mapping):
        raise InvalidEvent("the event: payload must be an object")
    payload = Raw(dump_object(values, "the event: payload"))
    event_type = event.get("event_type")
    if len(event) == 2 and type(event_type) is str and 0 < len(event_type) <= 255:
        event_type_json(event_type)
        return Draft(event_type, payload)
    rest = {k: v for k, v in event.items() if k not in ("payload", "sequence", "cursor")}
    try:
        draft = msgspec.convert({**rest, "payload": payload}, Draft)
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"the event: {error}") from None
    _check_parts(draft, "the event")
    return draft


def dump_object(value: object, where: str) -> bytes:
    """JSON of Python values; refuses what JSON cannot say instead of writing null for it."""
    try:
        raw = orjson.dumps(value)
    except TypeError as error:
        return _dump_slowly(value, where, error)
    if b"null" in raw and _has_nan(value):
        raise InvalidEvent(f"{where}: NaN and infinities are not JSON")
    return raw


def _dump_slowly(value: object, where: str, why: TypeError) -> bytes:
    """Integers beyond 64 bits, which the fast encoder refuses; what else it refuses stays so."""
    if "64-bit" not in str(why):
        raise InvalidEvent(f"{where}: {why}") from None
    try:
        raw = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        orjson.loads(raw)
    except (TypeError, ValueError) as error:
        raise InvalidEvent(f"{where}: {error}") from None
    return raw


def _has_nan(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(_has_nan(v) for v in value.values())
    if isinstance(value, list | tuple):
        return any(_has_nan(v) for v in value)
    return False


@lru_cache(maxsize=4096)
def event_type_json(event_type: str) -> bytes:
    """The JSON of an event type; there are few of them. Raises InvalidId."""
    if not event_type.isascii() or not event_type.isprintable():
        checked_id(event_type, "event_type")
    return encode_json(event_type)


# --- stored lines ---------------------------------------------------------------------------


class Instant(NamedTuple):
    """A millisecond as stored lines have it."""

    unix_ms: int
    ts: bytes  # 2026-11-22T13:05:01.123Z
    id_time: bytes  # see event_id


class WallClock:
    """The time of day, formatted once a millisecond and its seconds once a second."""

    __slots__ = ("_instant", "_ms", "_now", "_second", "_text")

    def __init__(self, now: Any = time.time) -> None:
        self._now = now
        self._ms = self._second = -1
        self._text = b""
        self._instant = Instant(0, b"", b"")

    def read(self) -> Instant:
        ms = int(self._now() * 1000)
        if ms != self._ms:
            second, rest = divmod(ms, 1000)
            if second != self._second:
                text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
                self._second, self._text = second, text.encode()
            self._ms, self._instant = ms, Instant(ms, b"%b.%03dZ" % (self._text, rest), id_time(ms))
        return self._instant


STORED_LINE = (
    b'{"sequence":%d,"cursor":"%016d_%016d","event_id":"%b","ts":"%b","event_type":%b,'
    b'%b"metadata":%b,"payload":%b}'
)
"""A stored line without its newline: sequence, epoch, sequence, event id and time (inside their
quotes), event type (JSON), the address of the stream, metadata (JSON), payload (JSON)."""


def json_inside(text: str) -> bytes:
    """The JSON of a text without its quotes."""
    return encode_json(text)[1:-1]


def parse_line(line: bytes) -> StoredLine:
    return _stored.decode(line)


def place_of_line(line: bytes) -> PlacedLine:
    """The place of a stored line of any kind. Raises msgspec.DecodeError."""
    return _placed.decode(line)


def event_id_of(line: bytes) -> str:
    return _stored_id.decode(line).event_id


def says_the_same(draft: Draft, stored: StoredLine) -> bool:
    """Whether a draft with this id is the stored event again: all it states is what is stored."""
    if draft.event_type != stored.event_type:
        return False
    if draft.ts is not None and datetime.fromisoformat(stored.ts) != draft.ts:
        return False
    if any(stored.metadata.get(k) != v for k, v in (draft.metadata or {}).items() if v is not None):
        return False
    ours, theirs = bytes(stored.payload), bytes(draft.payload)
    return ours == theirs or _canonical(ours) == _canonical(theirs) is not None


def _canonical(payload: bytes) -> str | None:
    """The payload with its keys sorted; None when it is nested too deeply to be compared.

    Not the Python values: those of `1` and `true` are equal.
    """
    try:
        return json.dumps(json.loads(payload), sort_keys=True)
    except RecursionError:
        return None


def without_payload(lines: Sequence[bytes]) -> list[bytes]:
    """The lines cut down to sequence, cursor and event id (`Prefer: return=minimal`)."""
    parts = [parse_line(line) for line in lines]
    return [
        b'{"sequence":%d,"cursor":"%b","event_id":%b}'
        % (part.sequence, part.cursor.encode(), encode_json(part.event_id))
        for part in parts
    ]
