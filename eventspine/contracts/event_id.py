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
_VARIANT = 0x8000
_LOW_BITS = 48 - _RANDOM_BITS  # of the sequence, in the last group of the text
_LOW_MASK = (1 << _LOW_BITS) - 1
_HIGH_MASK = (1 << _SEQUENCE_BITS - _LOW_BITS) - 1
_counter = count(random.getrandbits(12)).__next__
_random = random.getrandbits


def id_time(unix_ms: int) -> bytes:
    """The part of an id that its time makes (milliseconds since 1970), up to the version."""
    return b"%08x-%04x-7" % (unix_ms >> 16, unix_ms & 0xFFFF)


def new_event_id(time: bytes, sequence: int) -> bytes:
    """A new id, in ASCII, for the event that gets `sequence`; `time` is made by `id_time`."""
    return b"%b%03x-%04x-%012x" % (
        time,
        _counter() & 0xFFF,
        _VARIANT | sequence >> _LOW_BITS & _HIGH_MASK,
        (sequence & _LOW_MASK) << _RANDOM_BITS | _random(_RANDOM_BITS),
    )


def sequence_in(event_id: str) -> int | None:
    """The sequence an id of ours carries; None when it cannot be one of ours."""
    if len(event_id) != 36 or event_id[14] != "7" or event_id[18] != "-":
        return None
    try:
        low = int(event_id[19:23] + event_id[24:], 16)
    except ValueError:
        return None
    return low >> _RANDOM_BITS & _SEQUENCE_MASK or None
