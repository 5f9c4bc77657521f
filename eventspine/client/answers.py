"""Bodies of the server as the values of contracts.answers: every event stays the bytes it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from eventspine.client.errors import BadAnswer
from eventspine.contracts.answers import Appended, Head, Page, Selection
from eventspine.contracts.cursor import Cursor


class _Place(Struct):
    cursor: str


class _AppendedBody(Struct):
    events: list[Raw]
    head: str
    duplicates: int = 0


class _PageBody(Struct):
    events: list[Raw]
    next: str
    head: str
    earliest: str
    closed: bool = False


class _SelectionBody(_PageBody, kw_only=True):
    read: int


class _HeadBody(Struct):
    head: str
    earliest: str
    closed: bool


_place = msgspec.json.Decoder(_Place)
_appended = msgspec.json.Decoder(_AppendedBody)
_page = msgspec.json.Decoder(_PageBody)
_selection = msgspec.json.Decoder(_SelectionBody)
_head = msgspec.json.Decoder(_HeadBody)
_Body = TypeVar("_Body")


def cursor_of(line: bytes) -> Cursor:
    """The position of a stored line."""
    return Cursor.parse(_place.decode(line).cursor)


def appended_of(body: bytes, url: str) -> Appended:
    answer = _decoded(_appended, body, url)
    lines = _lines(answer.events)
    sequences = [cursor_of(line).sequence for line in lines]
    return Appended(lines, sequences, Cursor.parse(answer.head), answer.duplicates)


def page_of(body: bytes, url: str) -> Page:
    answer = _decoded(_page, body, url)
    lines = _lines(answer.events)
    onward = Cursor.parse(answer.next)
    first = cursor_of(lines[0]).sequence if lines else onward.sequence + 1
    return Page(
        lines,
        first,
        onward,
        Cursor.parse(answer.head),
        Cursor.parse(answer.earliest),
        answer.closed,
    )


def selection_of(body: bytes, url: str) -> Selection:
    answer = _decoded(_selection, body, url)
    return Selection(
        _lines(answer.events),
        Cursor.parse(answer.next),
        Cursor.parse(answer.head),
        Cursor.parse(answer.earliest),
        answer.closed,
        answer.read,
    )


def head_of(body: bytes, url: str) -> Head:
    answer = _decoded(_head, body, url)
    return Head(Cursor.parse(answer.head), Cursor.parse(answer.earliest), answer.closed)


def _lines(events: Sequence[Raw]) -> list[bytes]:
    return [bytes(event) for event in events]


def _decoded(decoder: msgspec.json.Decoder[_Body], body: bytes, url: str) -> _Body:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"{url}: {error}", url=url) from error
