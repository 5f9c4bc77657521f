"""Bytes of an object on their way in: small ones into a commit, large ones into a draft.

Source: FN-03, KIND-09.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from eventspine.contracts.blobs import BlobDraft
from eventspine.contracts.errors import TooLarge
from eventspine.services.object_bytes import PIECE_BYTES, SizeLimit
from eventspine.services.object_shelf import Shelf
from eventspine.services.object_sums import add_to, check_sum
from eventspine.services.object_writing import Writing


@asynccontextmanager
async def received(
    shelf: Shelf,
    pieces: AsyncIterable[bytes],
    limit: SizeLimit,
    sha256: str | None,
    if_large: Callable[[], Awaitable[object]],
) -> AsyncIterator[Writing]:
    """Bytes as they came, whole and right, for the index to name while the block lasts.

    Args:
        pieces: an error it raises is raised from here; it is closed, whatever happens.
        sha256: what the bytes must add up to, if that was said.
        if_large: asked before bytes go to the disk ahead of their record.

    Raises TooLarge, ChecksumMismatch.
    """
    incoming = Incoming(pieces, limit)
    async with incoming.closing():
        small = await incoming.whole(shelf.logged_bytes_max)
        if small is None:
            await if_large()
            async with shelf.drafted() as (writing, draft):
                await incoming.into(draft)
                check_sum(sha256, draft.sha256)
                await draft.finish()
                writing.size, writing.sha256 = draft.size, draft.sha256
                yield writing
            return
    digest = hashlib.sha256()
    await add_to(digest, small)
    check_sum(sha256, digest.hexdigest())
    with shelf.logged(small, digest.hexdigest()) as writing:
        yield writing


class OneContent:
    """Bytes that are there, in pieces."""

    def __init__(self, content: bytes) -> None:
        self._view = memoryview(content)
        self._at = 0

    def __aiter__(self) -> OneContent:
        return self

    async def __anext__(self) -> bytes:
        at, self._at = self._at, self._at + PIECE_BYTES
        if at >= len(self._view):
            raise StopAsyncIteration
        return bytes(self._view[at : self._at])


class Incoming:
    """Bytes as they come, under a limit. What small pieces have in common is collected first."""

    def __init__(self, pieces: AsyncIterable[bytes], limit: SizeLimit) -> None:
        self._pieces = pieces
        self._iterator = aiter(pieces)
        self._limit = limit
        self._size = 0
        self._collected = bytearray()

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """A generator that is not read to its end is ended here, not by the garbage collector."""
        try:
            yield
        finally:
            close = getattr(self._pieces, "aclose", None)
            if close is not None:
                with anyio.CancelScope(shield=True):
                    await close()

    async def whole(self, most: int) -> bytes | None:
        """All bytes, if they are at most so many; None if more come, or none may be so few."""
        while len(self._collected) <= most and most:
            if not await self._collect():
                return bytes(self._collected)
        return None

    async def into(self, draft: BlobDraft) -> None:
        """The bytes, in pieces that are worth asking a thread for."""
        more = True
        while more:
            more = await self._collect()
            if len(self._collected) >= PIECE_BYTES or (self._collected and not more):
                await draft.write(bytes(self._collected))
                self._collected.clear()

    async def _collect(self) -> bool:
        """One more piece. False: there is none."""
        async for piece in self._iterator:
            self._size += len(piece)
            if self._size > self._limit.maximum:
                raise TooLarge(
                    f"the bytes are {self._size} or more, the limit is {self._limit.maximum}",
                    limit=self._limit.name,
                    maximum=self._limit.maximum,
                    actual=self._size,
                )
            self._collected += piece
            return True
        return False
