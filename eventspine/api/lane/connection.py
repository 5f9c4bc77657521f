"""What the lanes have in common: which addresses are theirs, who asked, how an answer begins."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from eventspine.api.answer import Header

HEAD_BYTES_MAX = 2048
TEMPLATE = "/v1/streams/{stream_id}/events"
PLAIN_ID = rb"[A-Za-z0-9_.~:@-]{1,255}"  # one that no escape stands in
ADDRESS = rb"(/v1/streams/(%b)/events)" % PLAIN_ID


class Connection(Protocol):
    """Told the answer, whole and ready to be sent."""

    @property
    def default_headers(self) -> list[Header]: ...
    def start(self, work: Coroutine[Any, Any, None]) -> None: ...
    def answered(self, head: bytes, body: bytes) -> None: ...


class StatusLines:
    """An answer's first lines, with the date, which changes once a second."""

    def __init__(self) -> None:
        self._dated: list[Header] = []
        self._lines: dict[int, bytes] = {}

    def of(self, status: int, default_headers: list[Header]) -> bytes:
        if default_headers is not self._dated:
            self._dated, self._lines = default_headers, {}
        found = self._lines.get(status)
        if found is None:
            found = self._lines[status] = STATUS_LINE[status] + header_lines(default_headers)
        return found


def header_lines(headers: list[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
