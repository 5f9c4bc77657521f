"""Analytics events: what is sent, and the draft of the stream event that is kept of it.

    {"event": "page_view", "time": "2026-11-24T10:00:00Z", "user_id": "u1", "session_id": "s1",
     "properties": {"path": "/pricing", "utm_source": "news", "ms": 120}}

An event is kept as an event of a stream: its name is the `event_type`, its time the `ts`, the rest
the payload. Properties are flat: each is a string, a number, a boolean or null.
Rules: a number has one text. An integer is exact as far as 64 bits go; any other number is a
double, and a double that is such an integer is written as one, so that 3 and 3.0 are the same.
Times are kept in UTC. Source: KIND-04, SYS-15.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
import orjson
from msgspec import Meta, Raw

from eventspine.contracts.errors import InvalidAnalyticsEvent, InvalidJson, TooLarge
from eventspine.contracts.ids import checked_id
from eventspine.contracts.wire import Draft, Text

Scalar = str | int | float | bool | None
INT_MIN, INT_MAX = -(2**63), 2**64 - 1
_WHITESPACE = b" \t\r\n"
_IDS = ("user_id", "anonymous_id", "session_id")


class AnalyticsEvent(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An event to ingest. A stated `event_id` makes sending it again harmless."""

    event: Text
    event_id: str | None = None
    time: Annotated[datetime, Meta(tz=True)] | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    session_id: str | None = None
    properties: dict[str, Any] = {}


class Ingested(NamedTuple):
    """How an ingest ended: `stored` are new, `duplicates` were there; `head` is where it stands."""

    stored: int
    duplicates: int
    head: str


_one = msgspec.json.Decoder(AnalyticsEvent)
_many = msgspec.json.Decoder(list[AnalyticsEvent])


def parse_events(body: bytes, *, ndjson: bool = False) -> list[AnalyticsEvent]:
    """The events of a body: one object, an array of them, or NDJSON.

    Raises:
        InvalidJson: not UTF-8 JSON.
        InvalidAnalyticsEvent: JSON of another shape; the text names the place.
    """
    if ndjson:
        lines = enumerate(body.split(b"\n"), 1)
        return [_decode(_one, line, f"line {n}: ") for n, line in lines if line.strip(_WHITESPACE)]
    if body.lstrip(_WHITESPACE)[:1] == b"[":
        found: list[AnalyticsEvent] = _decode(_many, body, "")
        return found
    return [_decode(_one, body, "")]


def event_of(event: AnalyticsEvent | Mapping[str, Any]) -> AnalyticsEvent:
    """An event given as Python values. Raises InvalidAnalyticsEvent."""
    if isinstance(event, AnalyticsEvent):
        return event
    try:
        return msgspec.convert(dict(event), AnalyticsEvent)
    except msgspec.ValidationError as error:
        raise InvalidAnalyticsEvent(f"the event: {error}") from None


def _decode(decoder: msgspec.json.Decoder[Any], body: bytes, where: str) -> Any:
    try:
        orjson.loads(body)  # stricter: no lone surrogates, no number beyond a double
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidAnalyticsEvent(f"{where}{error}") from None
    except (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(f"{where}{error}") from None
    except RecursionError:
        raise InvalidJson(f"{where}nested too deeply") from None


def drafts_of(events: Sequence[AnalyticsEvent], properties_max: int) -> list[Draft]:
    """The drafts of stream events, in this order.

    Raises:
        InvalidAnalyticsEvent, InvalidId, TooLarge: the text says which event.
    """
    several = len(events) > 1
    return [
        _draft(event, f"event {n}" if several else "the event", properties_max)
        for n, event in enumerate(events)
    ]


def _draft(event: AnalyticsEvent, where: str, properties_max: int) -> Draft:
    if len(event.properties) > properties_max:
        raise TooLarge(
            f"{where}: {len(event.properties)} properties",
            limit="analytics_properties_max",
            maximum=properties_max,
            actual=len(event.properties),
        )
    checked_id(event.event, "event")
    members: dict[str, Any] = {
        name: checked_id(value, name)
        for name in _IDS
        if (value := getattr(event, name)) is not None
    }
    members["properties"] = {
        checked_id(name, "the name of a property"): _kept(value, where, name)
        for name, value in event.properties.items()
    }
    event_id = None if event.event_id is None else checked_id(event.event_id, "event_id")
    return Draft(event.event, _raw(members, where), event_id, _utc(event.time, where))


def _kept(value: Any, where: str, name: str) -> Scalar:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return canonical(value, f"{where}: property {name[:64]!r}")
    raise InvalidAnalyticsEvent(
        f"{where}: property {name[:64]!r} must be a string, a number, a boolean or null"
    )


def canonical(value: float, what: str = "the number") -> int | float:
    """The one way to write a number. Raises InvalidAnalyticsEvent for what is no number of JSON."""
    if isinstance(value, int) and INT_MIN <= value <= INT_MAX:
        return value
    try:
        double = float(value)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise InvalidAnalyticsEvent(f"{what} is no finite double")
    if double.is_integer() and INT_MIN <= double <= INT_MAX:
        return int(double)
    return double


def _raw(members: Mapping[str, Any], where: str) -> Raw:
    try:
        return Raw(orjson.dumps(members))
    except TypeError as error:  # a lone surrogate in a string
        raise InvalidAnalyticsEvent(f"{where}: {error}") from None


def _utc(time: datetime | None, where: str) -> datetime | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise InvalidAnalyticsEvent(f"{where}: time needs a zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidAnalyticsEvent(f"{where}: time is out of range") from None
