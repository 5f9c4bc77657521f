"""Answers of two runs made comparable: without clocks, made ids and revisions of the registry.

Rules: nothing else is taken out, so that what is left has to be equal to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)")
_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")  # an id that was made
_SECONDS = frozenset(["ttl_s", "age_s"])
# of the registry or a backend as a whole; `moves` is who has asked since the registry changed last
_REGISTRY = frozenset(["revision", "serving_revision", "moves", "circuit"])
_PERIODS = frozenset(["period", "as_of"])
_SENT = ("date", "server", "x-request-id", "content-length")


class Answer(NamedTuple):
    status: int
    headers: tuple[tuple[str, str], ...]
    body: Any


class Comparable:
    """What is alike in one run: the first id that was made is `made-1`, and so on."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def answer(
        self, operation: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        kept = {name: self._text(text) for name, text in headers.items() if name not in _SENT}
        if operation.endswith(("Route", "Routes")) or operation == "routeHistory":
            kept.pop("etag", None)
        return Answer(status, tuple(sorted(kept.items())), self._body(body, kept))

    def _body(self, body: bytes, headers: Mapping[str, str]) -> Any:
        if "json" in headers.get("content-type", ""):
            return self._plain(orjson.loads(body)) if body else None
        try:
            return self._text(body.decode())
        except UnicodeDecodeError:
            return body

    def event(self, data: str) -> Any:
        """One event of a live answer."""
        return self._plain(orjson.loads(data))

    def _plain(self, value: Any, name: str = "") -> Any:
        clock = name == "expires_at" and isinstance(value, int)
        if clock or name in _SECONDS or name in _REGISTRY or name in _PERIODS:
            return type(value).__name__
        if isinstance(value, dict):
            return {key: self._plain(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self._plain(one, name) for one in value]
        if name in ("event_id", "upload_id") and isinstance(value, str):
            return self._id(value)
        if name == "path" and isinstance(value, str) and value.startswith("/v1/uploads/"):
            return "<upload>"  # signed, with its end in it
        return self._text(value) if isinstance(value, str) else value

    def _id(self, value: str) -> str:
        if len(value) < 20:  # one that the program chose
            return value
        return self._made.setdefault(value, f"made-{len(self._made) + 1}")

    def _text(self, text: str) -> str:
        return _HEX.sub(lambda found: self._id(found[0]), _TIME.sub("<time>", text))
