"""An answer whose bytes are ready: Starlette's Response without its header dictionary.

Refused: JSONResponse and friends on the way of every append; they cost more than the append
(docs/decisions/0004-server.md).
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

Header = tuple[bytes, bytes]
JSON = b"application/json"
NO_STORE: Header = (b"cache-control", b"no-store")


class Answer(Response):
    def __init__(
        self,
        status: int,
        body: bytes = b"",
        media_type: bytes | None = None,
        headers: list[Header] | None = None,
    ) -> None:
        """`media_type` None: an answer without content (204, HEAD), so without its headers."""
        self.status_code = status
        self.body = body
        self.background = None
        raw = [] if headers is None else headers
        if media_type is not None:
            raw.append((b"content-type", media_type))
            raw.append((b"content-length", b"%d" % len(body)))
        self.raw_headers = raw


def json_answer(status: int, value: Any, headers: list[Header] | None = None) -> Answer:
    return Answer(status, orjson.dumps(value), JSON, headers)
