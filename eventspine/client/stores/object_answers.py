"""An object as a server describes it, and the conditions of writing one."""

from __future__ import annotations

import msgspec

from eventspine.client.stores.asking import Headers
from eventspine.contracts.objects import Condition, StoredObject

OCTETS = "application/octet-stream"


class ObjectAnswer(msgspec.Struct):
    """An object, as a server describes it."""

    key: str
    size: int
    sha256: str
    content_type: str
    etag: str
    version: int
    created_at: str
    metadata: msgspec.Raw

    @property
    def stored(self) -> StoredObject:
        return StoredObject(
            self.key,
            self.size,
            self.sha256,
            self.content_type,
            self.etag,
            self.version,
            self.created_at,
            "",
            bytes(self.metadata),
        )


def conditional(condition: Condition) -> Headers:
    """The header fields of a condition."""
    headers: Headers = [(b"If-None-Match", b"*")] if condition.if_absent else []
    wanted = condition.if_match
    if wanted is not None:
        headers.append((b"If-Match", b"*" if wanted == "*" else f'"{wanted}"'.encode()))
    return headers
