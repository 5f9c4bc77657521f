"""Event ids the product makes: UUIDv7 (RFC 9562) that carry their event's sequence.

Layout: 48 bits Unix milliseconds, version 7, 12 bits of a per-process counter, variant, 40 bits of
the sequence, 22 random bits. RFC 9562 section 6.2 leaves the bits after the time to the maker. So
an id of ours is found in its stream without an index: read the sequence, look whether the event
there has this id. A client's own id that happens to look like one is found the same way or by the
index; nothing depends on telling them apart.
"""

from __future__ import annotations

import random
from itertools import count

_SEQUENCE_BITS = 40
_RANDOM_BITS = 22
_SEQUENCE_MASK = (1 << _SEQUENCE_BITS) - 1
_VARIANT = 0b10 << 62
_counter = count(random.getrandbits(12)).__next__
_random = random.getrandbits


def new_event_id(unix_ms: int, sequence: int) -> str:
    """A new id for the event that gets `sequence`, at `unix_ms` (milliseconds since 1970)."""
    low = _VARIANT | (sequence & _SEQUENCE_MASK) << _RANDOM_BITS | _random(_RANDOM_BITS)
    text = f"{unix_ms:012x}7{_counter() & 0xFFF:03x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sequence_in(event_id: str) -> int | None:
    """The sequence an id of ours carries; None when it cannot be one of ours."""
    if len(event_id) != 36 or event_id[14] != "7" or event_id[18] != "-":
        return None
    try:
        low = int(event_id[19:23] + event_id[24:], 16)
    except ValueError:
        return None
    return low >> _RANDOM_BITS & _SEQUENCE_MASK or None
