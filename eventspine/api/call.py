"""One request on its way through the front."""

from __future__ import annotations

from typing import Any

from starlette.types import Receive, Scope

from eventspine.api.fields import Fields

CALL = "eventspine.call"


class Call:
    """What endpoints are handed: the looked-through headers, the decoded path parameters."""

    __slots__ = ("fields", "parameters", "receive", "request_id", "scope", "template")

    def __init__(self, scope: Scope, receive: Receive, fields: Fields, request_id: str) -> None:
        self.scope = scope
        self.receive = receive
        self.fields = fields
        self.request_id = request_id
        self.parameters: dict[str, str] = {}
        self.template = ""  # of the address, once it is known; a label that holds no ids

    @property
    def query(self) -> bytes:
        raw: bytes = self.scope.get("query_string", b"")
        return raw

    def extension(self, name: str) -> Any:
        """A service that our own server adds; None behind any other."""
        return (self.scope.get("extensions") or {}).get(name)
