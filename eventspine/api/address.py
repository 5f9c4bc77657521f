"""Addresses, matched on the bytes of the request line.

Why not Starlette's Route: servers decode the path before Starlette matches it, so `a%2Fb` has
become two segments and a second decoding would turn `%252F` into `/`. Here a segment is whatever
stands between two slashes on the wire, decoded exactly once; an escape that is none, or bytes that
are not UTF-8, are refused, so two spellings never name one stream by accident.
One RawRoute holds all methods of its address, so that a 405 knows the right `Allow`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from eventspine.api.call import CALL, Call
from eventspine.api.refusals import MethodNotAllowed
from eventspine.contracts.errors import InvalidId

Endpoint = Callable[[Call], Awaitable[ASGIApp]]

_NAME = re.compile(r"\{([a-z_]+)\}")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class RawRoute(BaseRoute):
    """`/v1/streams/{stream_id}/events` and what each of its methods does."""

    def __init__(self, template: str, methods: Mapping[str, Endpoint]) -> None:
        self.template = template
        self.methods = dict(methods)
        pattern = _NAME.sub(
            r"(?P<\1>[^/]+)", re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
        )
        self._match = re.compile(pattern.encode()).fullmatch

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = self._match(raw_path(scope))
        if found is None:
            return Match.NONE, {}
        return Match.FULL, {"path_params": found.groupdict()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope[CALL]
        call.template = self.template
        endpoint = self.methods.get(scope["method"])
        if endpoint is None:
            allow = sorted(self.methods)
            raise MethodNotAllowed(
                f"{scope['method']} is not one of {', '.join(allow)}", allow=allow
            )
        call.parameters = {
            name: decoded_segment(value, name) for name, value in scope["path_params"].items()
        }
        answer = await endpoint(call)
        await answer(scope, receive, send)


def raw_path(scope: Mapping[str, Any]) -> bytes:
    raw: bytes | None = scope.get("raw_path")
    return quote(scope["path"]).encode() if raw is None else raw


def decoded_segment(raw: bytes, name: str) -> str:
    """The text of one path segment. Raises InvalidId."""
    if b"%" not in raw and raw.isascii():
        return raw.decode("ascii")
    if _BAD_ESCAPE.search(raw):
        raise InvalidId(f"{name} holds a % that escapes nothing", field=name)
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidId(f"{name} is not percent-encoded UTF-8", field=name) from None
