"""Event ids made by the client, before the first try, so that a retry is the same event.

UUIDv7 (RFC 9562) with all 74 free bits random: two clients never make the same one, and ids sort
by time. The server's own ids (contracts.event_id) carry a sequence, which a client cannot know.
"""

from __future__ import annotations

import os
import time
import uuid


def uuid7() -> str:
    """A new UUIDv7."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10))
    value = (milliseconds & (1 << 48) - 1) << 80 | noise
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def derived_id(name: str, index: int) -> str:
    """The id of number `index` in something named `name`: the same on every run (UUIDv5)."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"eventspine:{name}#{index}"))
