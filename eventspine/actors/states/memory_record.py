"""Records of a namespace of the memory store, and the entries they make.

    {"key":"u1","op":"set","version":7,"updated_at":"…","value":{"cart":[]},"expires_at":"…"}
    {"key":"u1","op":"touch","version":7,"updated_at":"…","expires_at":"…"}
    {"key":"u1","op":"expired","version":7,"updated_at":"…","expires_at":"…"}
    {"key":"","op":"announced","version":7,"updated_at":"…"}

Rule: an `expired` record names the version that is gone, and an `announced` record the last version
that listeners were told of. Source: DESIGN decision 5.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from eventspine.contracts.entries import Entry

NOTHING = msgspec.Raw(b"null")


class MemoryRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """A value was set, its expiry moved, it was deleted or has expired; or listeners were told.

    Without a key, `delete` says only that versions up to `version` are spent.
    """

    key: str
    op: Literal["set", "touch", "delete", "expired", "announced"]
    version: int
    updated_at: str
    value: msgspec.Raw = NOTHING
    expires_at: str | None = None
    slide_s: float | None = None


def entry_of(record: MemoryRecord) -> Entry:
    return Entry(
        record.key,
        bytes(record.value),
        record.version,
        record.updated_at,
        record.expires_at,
        record.slide_s,
    )


def record_of(entry: Entry) -> MemoryRecord:
    return MemoryRecord(
        entry.key,
        "set",
        entry.version,
        entry.updated_at,
        msgspec.Raw(entry.json),
        entry.expires_at,
        entry.slide_s,
    )


def touched(entry: Entry, now: str) -> MemoryRecord:
    return MemoryRecord(
        entry.key,
        "touch",
        entry.version,
        now,
        expires_at=entry.expires_at,
        slide_s=entry.slide_s,
    )


def expired(entry: Entry, now: str) -> MemoryRecord:
    return MemoryRecord(entry.key, "expired", entry.version, now, expires_at=entry.expires_at)
