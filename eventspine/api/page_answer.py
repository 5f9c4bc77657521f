"""The answers that are events of a stream, and the headers that say where a stream stands."""

from __future__ import annotations

from eventspine.api.answer import JSON, NO_STORE, Answer, Header
from eventspine.api.bodies import page_body, selection_body
from eventspine.contracts.answers import Head, Page, Selection
from eventspine.contracts.cursor import Cursor


def page_answer(page: Page) -> Answer:
    return Answer(200, page_body(page), JSON, _listed(page))


def found_answer(found: Selection) -> Answer:
    return Answer(200, selection_body(found), JSON, _listed(found))


def _listed(events: Page | Selection) -> list[Header]:
    """Events are tenant data chosen by headers, and grow by the second: no cache may keep them."""
    headers = head_headers(Head(events.head, events.earliest, events.closed))
    return [*headers, NO_STORE, (b"vary", b"accept")]


def head_headers(head: Head) -> list[Header]:
    return [
        *position_headers(head.cursor),
        (b"x-stream-earliest", str(head.earliest).encode()),
        (b"x-stream-closed", b"true" if head.closed else b"false"),
    ]


def position_headers(head: Cursor) -> list[Header]:
    """The ETag is what If-Match of the next append takes."""
    cursor = str(head).encode()
    return [(b"etag", b'"%b"' % cursor), (b"x-stream-head", cursor)]
