"""The objects of a server, small enough to be in memory. The operations of ObjectStoreService."""

from __future__ import annotations

from typing import Any

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, Headers, address, decoded, encoded
from eventspine.contracts.errors import ObjectNotFound
from eventspine.contracts.objects import ALWAYS, Condition, ObjectPage, StoredObject

OCTETS = "application/octet-stream"


class _Object(msgspec.Struct):
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


class _Page(msgspec.Struct):
    objects: list[_Object]
    next: str | None


class ClientObjects:
    """Made by `EventspineClient.objects`. What is stored is answered without its inner name."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    async def put_object(
        self,
        key: str,
        content: bytes,
        *,
        content_type: str = OCTETS,
        condition: Condition = ALWAYS,
    ) -> StoredObject:
        """Store bytes under a key, whatever was there.

        Raises:
            PreconditionFailed: `condition` does not hold.
            ServerUnreachable, OutcomeUnknown: with a condition it may be stored or not.
        """
        response = await self._ask(
            "PUT",
            address("objects", key),
            content=content,
            headers=[(b"Content-Type", content_type.encode()), *_headers(condition)],
            is_repeatable=condition == ALWAYS,
        )
        return decoded(response, _Object).stored

    async def get_object(self, key: str) -> bytes:
        """The bytes of an object. Raises ObjectNotFound."""
        return (await self._ask("GET", address("objects", key))).content

    async def register_asset(self, key: str, metadata: Any) -> StoredObject:
        """Other metadata for an object. Raises ObjectNotFound."""
        response = await self._ask(
            "PUT",
            address("objects", key, "metadata"),
            content=encoded({"metadata": metadata}),
            headers=[JSON],
        )
        return decoded(response, _Object).stored

    async def delete_object(self, key: str, *, condition: Condition = ALWAYS) -> bool:
        """Delete an object. Answers whether there was one, as far as the last try can tell."""
        try:
            await self._ask(
                "DELETE",
                address("objects", key),
                headers=_headers(condition),
                is_repeatable=condition == ALWAYS,
            )
        except ObjectNotFound:
            return False
        return True

    async def page(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> ObjectPage:
        """A page of objects in key order; `next` is the `after` of the page behind it."""
        params = {"prefix": prefix, "after": after, "limit": limit}
        page = decoded(await self._ask("GET", address("objects"), params=params), _Page)
        return ObjectPage([one.stored for one in page.objects], page.next)


def _headers(condition: Condition) -> Headers:
    headers: Headers = [(b"If-None-Match", b"*")] if condition.if_absent else []
    wanted = condition.if_match
    if wanted is not None:
        headers.append((b"If-Match", b"*" if wanted == "*" else f'"{wanted}"'.encode()))
    return headers
