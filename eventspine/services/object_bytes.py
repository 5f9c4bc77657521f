"""Bytes of objects on their way: into a draft, under a limit, and out of an open object, checked.

Source: FN-03, FN-04, KIND-09.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from typing import NamedTuple

from eventspine.contracts.blobs import BlobReader
from eventspine.contracts.objects import StoredObject
from eventspine.services.object_shelf import Shelf
from eventspine.services.object_sums import add_to

PIECE_BYTES = 1024 * 1024
BYTES_LIMIT = "object_bytes_max"


class SizeLimit(NamedTuple):
    """A number of bytes, and the name by which an error calls it."""

    name: str
    maximum: int

    def lowered(self, size_max: int | None) -> SizeLimit:
        if size_max is None or size_max >= self.maximum:
            return self
        return SizeLimit("size_max", size_max)


class OpenObject:
    """Bytes `start` to `stop` of an object that is open.

    Args:
        checked: the reader's bytes are known to be what was stored.
    """

    def __init__(
        self,
        stored: StoredObject,
        reader: BlobReader,
        start: int,
        stop: int,
        shelf: Shelf,
        checked: bool = False,
    ) -> None:
        self.stored, self.start, self.stop = stored, start, stop
        self._reader, self._shelf, self._checked = reader, shelf, checked

    @property
    def size(self) -> int:
        return self.stop - self.start

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order. A whole object's last piece comes only if its SHA-256 is right.

        Raises:
            StoreCorrupt: the bytes are not what was stored.
        """
        whole = self.size == self.stored.size and not self._checked
        digest, at = hashlib.sha256(), self.start
        while at < self.stop:
            piece = await self._reader.read(min(PIECE_BYTES, self.stop - at), at)
            if not piece:
                raise self._shelf.corrupt(self.stored.key, f"it ends at byte {at}")
            at += len(piece)
            if whole:
                await add_to(digest, piece)
                if at == self.stop and digest.hexdigest() != self.stored.sha256:
                    raise self._shelf.corrupt(self.stored.key, "SHA-256 is not what was stored")
            yield piece
