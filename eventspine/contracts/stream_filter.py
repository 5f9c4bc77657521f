"""StreamFilter: which events of a stream somebody asks for. Pure. Source: FN-32.

    StreamFilter(event_types={"chat.message"}, since=…, metadata={"user_id": "u1"})

Rules: all that is stated must hold. A type that ends in `.*` means every type that begins so. Times
are those of the events (`ts`), `since` included and `until` not. A member of the metadata is
compared as text, and one that an event does not have differs from every value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from eventspine.contracts.errors import InvalidRequest

FILTER_PARTS_MAX = 64


class _Asked(msgspec.Struct):
    event_type: str
    ts: datetime
    metadata: dict[str, object]


_decode = msgspec.json.Decoder(_Asked).decode


class StreamFilter:
    """Raises InvalidRequest: it states what no event could be compared with."""

    __slots__ = ("_begin", "_metadata", "_since", "_types", "_until")

    def __init__(
        self,
        event_types: Collection[str] = (),
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(event_types, str):
            raise InvalidRequest("event_types is a collection of types", parameter="type")
        self._metadata = dict(metadata or {})
        if len(event_types) + len(self._metadata) > FILTER_PARTS_MAX:
            raise InvalidRequest(f"at most {FILTER_PARTS_MAX} types and members", parameter="type")
        self._types = frozenset(name for name in event_types if not name.endswith(".*"))
        self._begin = tuple(name[:-1] for name in event_types if name.endswith(".*"))
        self._since = _time(since, "since")
        self._until = _time(until, "until")

    @property
    def is_open(self) -> bool:
        """Whether every event matches."""
        return not (self._types or self._begin or self._metadata or self._since or self._until)

    def matches(self, line: bytes) -> bool:
        """Whether the event of a stored line is one of those asked for."""
        if self.is_open:
            return True
        event = _decode(line)
        if (self._types or self._begin) and not (
            event.event_type in self._types or event.event_type.startswith(self._begin or ("\0",))
        ):
            return False
        if self._since is not None and event.ts < self._since:
            return False
        if self._until is not None and event.ts >= self._until:
            return False
        return all(
            _text(event.metadata.get(name)) == value for name, value in self._metadata.items()
        )


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else None


def _time(value: datetime | str | None, name: str) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidRequest(
            f"{name} must be a time as 2026-11-24T10:00:00Z, with its zone", parameter=name
        )
    return at
