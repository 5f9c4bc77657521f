"""The body of a request, whole or not at all."""

from __future__ import annotations

from starlette.types import Receive

from eventspine.api.fields import Fields
from eventspine.api.refusals import ClientGone
from eventspine.contracts.errors import TooLarge


def refuse_long(fields: Fields, bytes_max: int) -> None:
    """Refuse by Content-Length, before a byte of it is read (and before 100-continue)."""
    stated = fields.get(b"content-length")
    if stated is not None and stated.isdigit() and int(stated[:19]) > bytes_max:
        raise _too_large(bytes_max, int(stated[:19]))


async def read_body(receive: Receive, fields: Fields, bytes_max: int) -> bytes:
    """All of it.

    Raises:
        TooLarge: it is longer than `bytes_max`; the rest is not read.
        ClientGone: it stopped half-way, so nothing may be done with it.
    """
    refuse_long(fields, bytes_max)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        whole: bytes = message.get("body", b"")
        if len(whole) > bytes_max:
            raise _too_large(bytes_max, len(whole))
        return whole
    pieces: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > bytes_max:
            raise _too_large(bytes_max, size)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()


def _too_large(bytes_max: int, actual: int) -> TooLarge:
    return TooLarge(
        f"the body has {actual} bytes or more, the limit is {bytes_max}",
        limit="body_bytes_max",
        maximum=bytes_max,
        actual=actual,
    )
