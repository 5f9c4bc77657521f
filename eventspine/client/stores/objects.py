"""The objects of a server, small enough to be in memory. The operations of ObjectStoreService."""

from __future__ import annotations

from typing import Any

import msgspec

from eventspine.client.stores.asking import JSON, AskStore, address, decoded, encoded
from eventspine.client.stores.object_answers import OCTETS, ObjectAnswer, conditional
from eventspine.client.stores.uploads import ClientUploads
from eventspine.contracts.errors import ObjectNotFound
from eventspine.contracts.objects import ALWAYS, Condition, ObjectPage, StoredObject


class _Page(msgspec.Struct):
    objects: list[ObjectAnswer]
    next: str | None


class ClientObjects:
    """Made by `EventspineClient.objects`. What is stored is answered without its inner name."""

    def __init__(self, ask: AskStore) -> None:
        self._ask = ask

    @property
    def uploads(self) -> ClientUploads:
        """Large ones, in parts."""
        return ClientUploads(self._ask)

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
            headers=[(b"Content-Type", content_type.encode()), *conditional(condition)],
            is_repeatable=condition == ALWAYS,
        )
        return decoded(response, ObjectAnswer).stored

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
        return decoded(response, ObjectAnswer).stored

    async def delete_object(self, key: str, *, condition: Condition = ALWAYS) -> bool:
        """Delete an object. Answers whether there was one, as far as the last try can tell."""
        try:
            await self._ask(
                "DELETE",
                address("objects", key),
                headers=conditional(condition),
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
