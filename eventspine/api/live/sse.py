"""Server-sent events, framed: pure bytes, no I/O.

    id: 0000000000000001_0000000000000003
    data: {"sequence":3,"cursor":"0000000000000001_0000000000000003",...}
    <empty line>

Rules (WHATWG HTML section 9.2, DESIGN decision 9): an id on every event that has data, and never
an id alone; ids and event names are of [0-9A-Za-z_.-]; `data` is one line. A stored event is one
line of JSON, where CR and LF can only be space between tokens and a raw NUL or a byte order mark
at the front cannot be; still, nothing here relies on it: CR and LF become spaces, and the field
value begins after `data: `, whose space parsers take off, so a payload's own leading space stays.
U+2028, U+2029 and U+0085 end no SSE line, but they do end one for clients made of Python's
splitlines; they stand only inside JSON strings and go out as their escapes, which is the same JSON.
Events with data of the stream have no name, so that EventSource's `onmessage` sees them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import orjson

from eventspine.contracts.answers import TailSlice

MEDIA_TYPE = b"text/event-stream"  # bare: with a charset behind it strict clients refuse it
ID_CHARS_MAX = 128
# Proxies and compressors hold small pieces back; comments of this size get through.
OPENING_BYTES = 2048
HEARTBEAT_BYTES = 512
RETRY_MS = (1000, 2000)

_SEPARATORS = (
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
    ("\u0085".encode(), b"\\u0085"),
)
_TOKEN = re.compile(r"[0-9A-Za-z_.-]+", re.ASCII)


def one_line(data: bytes) -> bytes:
    """`data` without the bytes that would end an SSE line."""
    if b"\r" in data or b"\n" in data:
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    for raw, escape in _SEPARATORS:
        if raw in data:
            data = data.replace(raw, escape)
    return data


def event(line: bytes, event_id: str) -> bytes:
    """One stored event under `event_id`."""
    assert len(event_id) <= ID_CHARS_MAX
    assert _TOKEN.fullmatch(event_id)
    return b"id: %b\ndata: %b\n\n" % (event_id.encode(), one_line(line))


def slice_frames(piece: TailSlice) -> bytes:
    """All events of a slice; encoded by its first reader, shared by the others."""
    if piece.frames is None:
        piece.frames = encoded(piece.epoch, piece.first, piece.lines)
    return piece.frames


def slice_block(piece: TailSlice) -> bytes:
    """The same as one chunk of an HTTP/1.1 body (RFC 9112 section 7.1), shared too."""
    if piece.block is None:
        frames = piece.frames or encoded(piece.epoch, piece.first, piece.lines)
        piece.block = b"%x\r\n%b\r\n" % (len(frames), frames)
    return piece.block


def encoded(epoch: int, first: int, lines: Sequence[bytes]) -> bytes:
    opening = b"id: %016d_" % epoch
    return b"".join(
        [
            b"%b%016d\ndata: %b\n\n" % (opening, sequence, one_line(line))
            for sequence, line in enumerate(lines, first)
        ]
    )


def control(name: str, members: dict[str, Any], event_id: str | None, retry: bool = False) -> bytes:
    """A named event of ours: `gap` or `end`. Carries an id only beside its data."""
    assert _TOKEN.fullmatch(name)
    parts = [f"event: {name}\n".encode()]
    if retry:
        parts.append(b"retry: %d\n" % retry_ms())
    if event_id:
        assert len(event_id) <= ID_CHARS_MAX
        assert _TOKEN.fullmatch(event_id)
        parts.append(f"id: {event_id}\n".encode())
    parts.append(b"data: %b\n\n" % orjson.dumps(members, default=str))
    return b"".join(parts)


def retry_ms() -> int:
    """When to come back; spread, so that a restart does not call everybody at once."""
    return random.randint(*RETRY_MS)


def opening() -> bytes:
    """What goes out with the headers: when to come back, and a comment that proxies let through."""
    return b"retry: %d\n:%b\n" % (retry_ms(), b" " * OPENING_BYTES)


# One newline: an empty line would make lenient parsers (httpx-sse) report an event without data.
HEARTBEAT = b":%b\n" % (b" " * HEARTBEAT_BYTES)
