"""Entries of a session memory: what the memory store answers. Source: KIND-06, DESIGN decision 1.

Times are ISO 8601 in UTC with milliseconds, which compare as text.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from eventspine.contracts.errors import InvalidRequest

TTL_S_MIN = 0.001
TTL_S_MAX = 100 * 366 * 86_400
LATER_MAX = 1_024


class Entry(NamedTuple):
    """One entry as it stands. `version` grows with every change of a value of its namespace.

    `slide_s`: with it, reading the entry sets its expiry to so many seconds from then.
    """

    key: str
    json: bytes  # what was put there, as it was sent
    version: int
    updated_at: str
    expires_at: str | None = None
    slide_s: float | None = None

    @property
    def value(self) -> Any:
        return orjson.loads(self.json)

    @property
    def size(self) -> int:
        """What it counts against `memory_bytes_max`: key and value in UTF-8."""
        key = self.key
        return len(key if key.isascii() else key.encode()) + len(self.json)

    def is_there(self, now: str) -> bool:
        return self.expires_at is None or now < self.expires_at

    def as_json(self) -> dict[str, Any]:
        expires = {} if self.expires_at is None else {"expires_at": self.expires_at}
        sliding = {} if self.slide_s is None else {"slide_s": self.slide_s}
        return {
            "key": self.key,
            "value": orjson.Fragment(self.json),
            "version": self.version,
            "updated_at": self.updated_at,
            **expires,
            **sliding,
        }


class EntryPage(NamedTuple):
    """Entries in key order; `next` is what `after` of the next page has to be, None at the end."""

    entries: list[Entry]
    next: str | None


class Expired(NamedTuple):
    """An entry that is gone because its time was over."""

    key: str
    version: int
    expires_at: str


TENANT_LIMITS = ("memory_entries_per_tenant_max", "memory_bytes_per_tenant_max")


class Room(NamedTuple):
    """What a namespace may hold: `memory_entries_max` and `memory_bytes_max`.

    And what its tenant may, with what the tenant's other namespaces hold now.
    """

    entries_max: int
    bytes_max: int
    tenant_entries_max: int | None = None
    tenant_bytes_max: int | None = None
    others_entries: int = 0
    others_bytes: int = 0

    @property
    def entries(self) -> tuple[int, str, int]:
        """How many entries fit here, and the name and maximum of the limit that says so."""
        own = (self.entries_max, "memory_entries_max", self.entries_max)
        most = self.tenant_entries_max
        if most is None or self.entries_max <= most - self.others_entries:
            return own
        return most - self.others_entries, TENANT_LIMITS[0], most

    @property
    def bytes(self) -> tuple[int, str, int]:
        """How many bytes fit here, and the name and maximum of the limit that says so."""
        own = (self.bytes_max, "memory_bytes_max", self.bytes_max)
        most = self.tenant_bytes_max
        if most is None or self.bytes_max <= most - self.others_bytes:
            return own
        return most - self.others_bytes, TENANT_LIMITS[1], most


def checked_ttl(ttl_s: float) -> float:
    """`ttl_s` if it can be a time to live. Raises InvalidRequest."""
    if not TTL_S_MIN <= ttl_s <= TTL_S_MAX:  # a NaN is not either
        raise InvalidRequest(
            f"ttl_s must be from {TTL_S_MIN} to {TTL_S_MAX} seconds", parameter="ttl_s"
        )
    return ttl_s


@lru_cache(LATER_MAX)
def later(now: str, ttl_s: float) -> str:
    """The time `ttl_s` seconds after `now`, in the same form."""
    at = datetime.fromisoformat(now).astimezone(UTC) + timedelta(milliseconds=round(ttl_s * 1000))
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def seconds_between(start: str, end: str) -> float:
    """How long after `start` `end` is; 0.0 if it is not."""
    passed = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return max(0.0, passed.total_seconds())
