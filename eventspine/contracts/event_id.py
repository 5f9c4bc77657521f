"""Event ids the product makes: UUIDv7 (RFC 9562) that carry their event's sequence.

Layout: 48 bits Unix milliseconds, version 7, 12 bits of a per-process counter, variant, 40 bits of
the sequence, 22 random bits. RFC 9562 section 6.2 leaves the bits after the time to the maker. So
an id of ours is found in its stream without an index: read the sequence, look whether the event
there has this id. A client's own id that happens to look like one is found the same way or by the
index; nothing depends on telling them apart.
"""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import count

_SEQUENCE_BITS = 40
_RANDOM_BITS = 22
_SEQUENCE_MASK = (1 << _SEQUENCE_BITS) - 1
_VARIANT = 0b10 << 62
_HEX = [f"{n:03x}" for n in range(4096)]
_counter = count(random.getrandbits(12)).__next__
_random = random.getrandbits


def new_event_id(unix_ms: int, sequence: int) -> bytes:
    """A new id, in ASCII, for the event that gets `sequence`, at `unix_ms` (since 1970)."""
    low = (sequence & _SEQUENCE_MASK) << _RANDOM_BITS | _random(_RANDOM_BITS) | _VARIANT
    text = low.to_bytes(8, "big").hex()
    return f"{_time(unix_ms)}{_HEX[_counter() & 0xFFF]}-{text[:4]}-{text[4:]}".encode()


@lru_cache(maxsize=16)
def _time(unix_ms: int) -> str:
    return f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}-7"


def sequence_in(event_id: str) -> int | None:
    """The sequence an id of ours carries; None when it cannot be one of ours."""
    if len(event_id) != 36 or event_id[14] != "7" or event_id[18] != "-":
        return None
    try:
        low = int(event_id[19:23] + event_id[24:], 16)
    except ValueError:
        return None
    return low >> _RANDOM_BITS & _SEQUENCE_MASK or None
