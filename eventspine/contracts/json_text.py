"""JSON that is kept as it was sent: checked once, on one line, never decoded again."""

from __future__ import annotations

import orjson

from eventspine.contracts.errors import InvalidJson

_LINE_BREAKS = b"\t\r\n"


def json_text(raw: bytes, where: str = "the body") -> bytes:
    """`raw` if it is one JSON document that can be served again, without line breaks.

    Raises:
        InvalidJson: it is not: also for NaN, lone surrogates, and nesting without measure.
    """
    try:
        orjson.loads(raw)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise InvalidJson(f"{where}: {error}") from None
    if b"\n" in raw or b"\r" in raw or b"\t" in raw:
        raw = raw.translate(None, _LINE_BREAKS)  # inside strings they can only be escaped
    return raw.strip(b" ")
