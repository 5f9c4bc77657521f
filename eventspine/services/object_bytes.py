"""Bytes of objects on their way: into a draft, under a limit, and out of an open object, checked.

Source: FN-03, FN-04, KIND-09.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import anyio
import anyio.to_thread

from eventspine.contracts.blobs import BlobReader
from eventspine.contracts.errors import ChecksumMismatch
from eventspine.contracts.objects import StoredObject
from eventspine.services.object_shelf import Shelf

PIECE_BYTES = 1024 * 1024
BYTES_LIMIT = "object_bytes_max"
HELD_BYTES_MAX = 2047
HASH_HERE_BYTES = 64 * 1024  # what the loop hashes itself; more goes to a thread


class SizeLimit(NamedTuple):
    """A number of bytes, and the name by which an error calls it."""

    name: str
    maximum: int

    def lowered(self, size_max: int | None) -> SizeLimit:
        if size_max is None or size_max >= self.maximum:
            return self
        return SizeLimit("size_max", size_max)


def check_sum(expected: str | None, actual: str) -> None:
    """Raises ChecksumMismatch."""
    if expected is not None and expected.lower() != actual:
        raise ChecksumMismatch(
            f"SHA-256 of the bytes is {actual}", expected=expected.lower(), actual=actual
        )


class OpenObject:
    """Bytes `start` to `stop` of an object that is open."""

    def __init__(
        self, stored: StoredObject, reader: BlobReader, start: int, stop: int, shelf: Shelf
    ) -> None:
        self.stored, self.start, self.stop = stored, start, stop
        self._reader, self._shelf = reader, shelf

    @property
    def size(self) -> int:
        return self.stop - self.start

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order. A whole object's last piece comes only if its SHA-256 is right.

        Raises:
            StoreCorrupt: the bytes are not what was stored.
        """
        whole = self.size == self.stored.size
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


async def add_to(digest: Any, piece: bytes) -> None:
    """Hash a piece: here, or on a thread if it is large.

    Here it is fed in slices: for more, hashlib gives the interpreter to another thread, and taking
    it back costs more than the sum.
    """
    if len(piece) <= HASH_HERE_BYTES:
        view = memoryview(piece)
        for at in range(0, len(piece), HELD_BYTES_MAX):
            digest.update(view[at : at + HELD_BYTES_MAX])
    else:
        await anyio.to_thread.run_sync(digest.update, piece)
