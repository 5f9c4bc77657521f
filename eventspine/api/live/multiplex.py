"""One resume id for up to sixteen streams: pure text, no I/O.

    k3Zq9A-5-2.17-0

A short hash of the sorted stream list, then the position of each stream in that order: the
sequence in base 62, with the epoch before a dot unless it is 1. Of [0-9A-Za-z.-], at most 128
characters: sixteen streams of 56 billion events each fit. The list itself is in the address of the
request and not in the id, so an id that was made for another list is refused by its hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import InvalidCursor, InvalidRequest, TooLarge
from eventspine.contracts.ids import checked_id

ID_CHARS_MAX = 128
_HASH_CHARS = 6
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE = {char: value for value, char in enumerate(_ALPHABET)}
_NUMBER = r"(?:0|[1-9A-Za-z][0-9A-Za-z]{0,9})"
_POSITION = re.compile(rf"(?:({_NUMBER})\.)?({_NUMBER})", re.ASCII)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def stream_list(text: str, most: int) -> list[str]:
    """The streams of `?streams=a,b`: sorted. A comma or % inside an id is written %2C, %25."""
    ids = [_decoded(part) for part in text.split(",")]
    if len(set(ids)) != len(ids):
        raise InvalidRequest("streams names a stream twice", parameter="streams")
    if len(ids) > most:
        raise TooLarge(
            f"{len(ids)} streams on one connection, more than {most}",
            limit="multiplex_streams_max",
            maximum=most,
            actual=len(ids),
        )
    return sorted(ids)


def _decoded(part: str) -> str:
    if _BAD_ESCAPE.search(part):
        raise InvalidRequest("streams holds a % that escapes nothing", parameter="streams")
    try:
        return checked_id(unquote_to_bytes(part).decode(), "stream_id")
    except UnicodeDecodeError:
        raise InvalidRequest("streams is not UTF-8", parameter="streams") from None


def packed(streams: Sequence[str], positions: Mapping[str, Cursor]) -> str:
    """The id of these positions. Raises TooLarge when it would pass 128 characters."""
    text = "-".join([list_hash(streams), *(_position(positions[name]) for name in streams)])
    if len(text) > ID_CHARS_MAX:
        raise TooLarge(
            "the positions do not fit into one id; use fewer streams on one connection",
            limit="multiplex_id_chars_max",
            maximum=ID_CHARS_MAX,
            actual=len(text),
        )
    return text


def unpacked(text: str, streams: Sequence[str]) -> dict[str, Cursor]:
    """The positions in an id made for these streams. Raises InvalidCursor."""
    mark, *positions = text.split("-")
    if len(text) > ID_CHARS_MAX or mark != list_hash(streams) or len(positions) != len(streams):
        raise InvalidCursor("the id was not made for this list of streams", requested=text[:128])
    return {name: _cursor(part, text) for name, part in zip(streams, positions, strict=True)}


def list_hash(streams: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(streams).encode()).digest()
    return _base62(int.from_bytes(digest[:8], "big")).rjust(_HASH_CHARS, "0")[-_HASH_CHARS:]


def _position(cursor: Cursor) -> str:
    sequence = _base62(cursor.sequence)
    return sequence if cursor.epoch == 1 else f"{_base62(cursor.epoch)}.{sequence}"


def _cursor(part: str, whole: str) -> Cursor:
    match = _POSITION.fullmatch(part)
    epoch = 1 if match is None or match[1] is None else _number(match[1])
    if match is None or not 1 <= epoch < 10**16 or _number(match[2]) >= 10**16:
        raise InvalidCursor("the id holds a position that is none", requested=whole[:128])
    return Cursor(epoch, _number(match[2]))


def _base62(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
        if not number:
            return digits


def _number(text: str) -> int:
    value = 0
    for char in text:
        value = value * 62 + _VALUE[char]
    return value
