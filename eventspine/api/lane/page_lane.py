"""The short way of a page: from the bytes of a request to the bytes of its answer, at once.

Job: see whether bytes ask for a page as nearly all do (a cursor, a limit), and answer them when
nothing has to be waited for: the stream is awake, the page is in memory.
Rules: what is unusual, refused or not at hand is not ours and nothing was done: the same bytes go
the ordinary way, which is the reference. No task is made.
Why: Starlette, the front and uvicorn's cycle cost 100 us, as much as finding a page of 1,000
events, checking and sending it (docs/PERFORMANCE.md).
"""

from __future__ import annotations

import re
import time

from eventspine.api.context import new_request_id
from eventspine.api.every_answer import EveryAnswer
from eventspine.api.lane.connection import (
    ADDRESS,
    HEAD_BYTES_MAX,
    PLAIN_ID,
    TEMPLATE,
    Connection,
    StatusLines,
    header_lines,
)
from eventspine.api.lane.known_heads import KnownHeads
from eventspine.api.page_answer import page_answer
from eventspine.api.service import SpineService

_LINE = re.compile(rb"GET %b(?:\?([^ #\r\n]*))? HTTP/1\.1\r\n" % ADDRESS).match
_PIECE = re.compile(rb"limit=([0-9]{1,9})|after=(%b)" % PLAIN_ID).fullmatch


class PageLane:
    """One for the whole server."""

    def __init__(self, spine: SpineService, every: EveryAnswer, heads: KnownHeads) -> None:
        self._spine, self._every, self._heads = spine, every, heads
        self._head_bytes_max = min(HEAD_BYTES_MAX, spine.settings.limits.header_bytes_max)
        self._status_lines = StatusLines()
        self.run = 0  # requests that went this way

    def answer(self, data: bytes, connection: Connection) -> tuple[int, bytes, bytes] | None:
        """How many bytes the request took, its answer's head and body; None: not ours."""
        line = _LINE(data)
        if line is None:
            return None
        started_s, begin = time.perf_counter(), line.end()
        end = data.find(b"\r\n\r\n", begin - 2, self._head_bytes_max)
        wanted = _wanted(line[3])
        head = None if end < 0 or wanted is None else self._heads.find_page(data[begin : end + 2])
        if head is None or wanted is None:
            return None
        limit, after = wanted
        try:
            page = self._spine.list_after_now(line[2].decode(), after, head.context, limit=limit)
        except Exception:
            return None  # the ordinary way asks again, and says why
        if page is None:
            return None
        self.run += 1
        request_id = head.request_id or new_request_id()
        answer = page_answer(page)
        lines = b"%b%b%b%b%b" % (
            self._status_lines.of(200, connection.default_headers),
            header_lines(answer.raw_headers),
            head.before_id,
            request_id.encode(),
            head.after_id,
        )
        self._every.count("GET", TEMPLATE, 200, line[1].decode(), request_id, started_s)
        return end + 4, lines, bytes(answer.body)


def _wanted(query: bytes | None) -> tuple[int | None, str | None] | None:
    """Limit and position of a query that states no more than these, each once; else None."""
    limit = after = None
    for piece in query.split(b"&") if query else ():
        found = _PIECE(piece)
        if found is None or (limit if found[1] else after) is not None:
            return None
        if found[1]:
            limit = int(found[1])
        else:
            after = found[2].decode()
    return limit, after
