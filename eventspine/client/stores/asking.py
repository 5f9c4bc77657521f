"""What the stores of a client ask with, and what is safe to ask twice.

Rules: a question, a write without a condition and whatever carries an id of its own may be
repeated: twice is the same as once. A write on a condition, an increment and points of a metric
may not, once they may have run: then the error says that the outcome is unknown, and the caller
looks before going on. What never ran is always tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from eventspine.client.errors import BadAnswer

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]
JSON: tuple[bytes, bytes] = (b"Content-Type", b"application/json")


class AskStore(Protocol):
    """`EventspineClient.ask_store`."""

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        content: bytes | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        is_repeatable: bool = True,
    ) -> httpx.Response: ...


def address(*parts: str) -> str:
    """A path of these parts. An id may hold anything, slashes and dots too."""
    return "/v1/" + "/".join(_segment(part) for part in parts)


def _segment(part: str) -> str:
    segment = quote(part, safe="")
    return segment if segment.strip(".") else segment.replace(".", "%2E")


def if_version(version: int | None) -> Headers:
    """The condition that a row or entry is at a version; 0: that there is none."""
    if version is None:
        return []
    return [(b"If-None-Match", b"*")] if version == 0 else [(b"If-Match", b'"%d"' % version)]


def decoded(response: httpx.Response, type: type[T]) -> T:
    """The body as a value. Raises BadAnswer."""
    try:
        return msgspec.json.decode(response.content, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"{response.url}: {error}", url=str(response.url)) from error


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
