"""Identifiers: what one may contain, and how it becomes one path segment.

Rules: two different ids never share a path and no id leaves its folder, so the encoding is
injective and nothing is folded (no NFKC, no lower-casing: `SQUARED²` and `squared2` are two ids).
UTF-8 bytes outside `[a-z0-9_-]` become `%xx`; capitals too, because some file systems fold case.
A name that would pass 160 characters is cut and carries its SHA-256 after `~`, a character no
short name contains. Names Windows reserves get their first character escaped.
Source: DESIGN decision 10, Q7.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from eventspine.contracts.errors import InvalidId

ID_BYTES_MAX = 255
MODE_BYTES_MAX = 31  # what the index of a stream has room for
SEGMENT_CHARS_MAX = 160
NAME_CHARS_MAX = 240  # file systems take 255, and a file may be written beside under a longer name

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_SEGMENT = [chr(b) if b in _PLAIN else f"%{b:02x}" for b in range(256)]
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
)


def checked_id(value: object, what: str) -> str:
    """`value` if it can be an id. Raises InvalidId naming `what`."""
    if not isinstance(value, str) or not value:
        raise InvalidId(f"{what} must be a non-empty string", field=what)
    if value.isascii() and value.isprintable() and len(value) <= ID_BYTES_MAX:
        return value
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidId(f"{what} holds a lone surrogate", field=what) from None
    if size > ID_BYTES_MAX:
        raise InvalidId(
            f"{what} has {size} bytes, more than {ID_BYTES_MAX}",
            field=what,
            limit="id_bytes_max",
            maximum=ID_BYTES_MAX,
            actual=size,
        )
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value):
        raise InvalidId(f"{what} holds a control character", field=what)
    return value


def checked_mode(value: object) -> str:
    """`value` if it can be a mode. Raises InvalidId."""
    mode = checked_id(value, "mode")
    if len(mode.encode()) > MODE_BYTES_MAX:
        raise InvalidId(
            f"mode has more than {MODE_BYTES_MAX} bytes",
            field="mode",
            limit="mode_bytes_max",
            maximum=MODE_BYTES_MAX,
            actual=len(mode.encode()),
        )
    return mode


@lru_cache(maxsize=65_536)
def path_segment(value: str) -> str:
    """The one path segment of an id. Injective, reversible unless it had to be cut."""
    segment = "".join([_SEGMENT[b] for b in value.encode()])
    if segment in _RESERVED:
        segment = f"%{ord(segment[0]):02x}{segment[1:]}"
    if len(segment) > SEGMENT_CHARS_MAX:
        digest = hashlib.sha256(value.encode()).hexdigest()
        segment = f"{segment[: SEGMENT_CHARS_MAX - 65]}~{digest}"
    return segment


def joined_segment(first: str, second: str) -> str:
    """Two segments as one, `first@second`; cut like a long id when it would be no file name.

    No segment holds an `@` and none begins with `~`, so the cut ones meet no other.
    """
    joined = f"{first}@{second}"
    if len(joined) > NAME_CHARS_MAX:
        return f"{first[:95]}@~{hashlib.sha256(joined.encode()).hexdigest()}"
    return joined


def id_of_segment(segment: str) -> str | None:
    """The id a segment was made of, or None when it had to be cut or is not one of ours."""
    if "~" in segment:
        return None
    out, i = bytearray(), 0
    try:
        while i < len(segment):
            if segment[i] == "%":
                out.append(int(segment[i + 1 : i + 3], 16))
                i += 3
            else:
                out += segment[i].encode("ascii")
                i += 1
        value = out.decode()
    except (ValueError, UnicodeError):
        return None
    return value if value and path_segment(value) == segment else None
