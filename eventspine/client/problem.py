"""Problem documents (RFC 9457) back into the errors they were made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from eventspine.client.errors import BadAnswer
from eventspine.contracts.errors import EventspineError

_STANDARD = frozenset(
    ["type", "title", "status", "detail", "instance", "code", "remedy", "outcome", "self"]
)


def _tree(root: type[EventspineError]) -> Iterator[type[EventspineError]]:
    for child in root.__subclasses__():
        yield child
        yield from _tree(child)


def _classes() -> dict[str, type[EventspineError]]:
    return {c.code: c for c in _tree(EventspineError) if "code" in vars(c)}


def error_of(status: int, body: bytes, url: str, retry_after: str | None = None) -> EventspineError:
    """The error an answer stands for: by its `code`, or BadAnswer when it is not one of ours."""
    try:
        problem: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        text = body[:200].decode("utf-8", "replace").strip()
        return BadAnswer(f"{url} answered {status}: {text or 'nothing'}", url=url, status=status)
    known = _classes().get(problem["code"])
    if known is None:
        detail = f"{url} answered {status} {problem['code']}: {problem.get('detail')}"
        return BadAnswer(detail, url=url, status=status)
    fields = {name: value for name, value in problem.items() if name not in _STANDARD}
    fields.setdefault("retry_after_s", seconds_of(retry_after))
    return _made(known, str(problem.get("detail") or known.title), fields)


def _made(kind: type[EventspineError], detail: str, fields: dict[str, Any]) -> EventspineError:
    # Not through the constructor: some build their text from a field (NoRouteConfigured).
    error = kind.__new__(kind)
    EventspineError.__init__(error, detail, **fields)
    error.args = (detail,)
    return error


def seconds_of(retry_after: str | None) -> float | None:
    """The seconds in a Retry-After header; None for a date or nothing (then back-off decides)."""
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
