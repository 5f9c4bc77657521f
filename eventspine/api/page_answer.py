"""The answer that is a page of a stream, and the headers that say where a stream stands."""

from __future__ import annotations

from eventspine.api.answer import JSON, Answer, Header
from eventspine.api.bodies import page_body
from eventspine.contracts.answers import Head, Page
from eventspine.contracts.cursor import Cursor


def page_answer(page: Page) -> Answer:
    headers = head_headers(Head(page.head, page.earliest, page.closed))
    # A page is tenant data chosen by headers and grows by the second: no cache may keep it.
    headers += [(b"cache-control", b"no-store"), (b"vary", b"accept")]
    return Answer(200, page_body(page), JSON, headers)


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
