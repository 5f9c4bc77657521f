"""SideFile: where the approximate index of one collection is kept: read, written whole, deleted.

It is a blob beside the journals: written as a draft, then given its name, so that after a crash it
is the old one, the new one, or a draft that the next writing takes away.
"""

from __future__ import annotations

from typing import NamedTuple

import anyio

from eventspine.contracts.blobs import BlobStore
from eventspine.contracts.ids import path_segment
from eventspine.contracts.objects import draft_name

PIECE_BYTES = 4 * 1024 * 1024


class SideFile(NamedTuple):
    store: BlobStore
    folder: str
    collection: str

    @property
    def name(self) -> str:
        return path_segment(self.collection)

    async def read(self) -> bytes | None:
        """All of it, None if there is none; a draft that a crash left goes.

        Raises StoreUnavailable, StoreCorrupt.
        """
        await self.store.delete(self.folder, draft_name(self.name))
        reader = await self.store.open(self.folder, self.name)
        if reader is None:
            return None
        try:
            data = bytearray()
            while piece := await reader.read(PIECE_BYTES, len(data)):
                data += piece
            return bytes(data)
        finally:
            with anyio.CancelScope(shield=True):
                await reader.aclose()

    async def write(self, line: bytes, data: memoryview) -> None:
        """Replace it, at once. Raises StoreFull, StoreUnavailable: it is as it was."""
        draft_of = draft_name(self.name)
        await self.store.delete(self.folder, draft_of)
        draft = await self.store.begin(self.folder, draft_of)
        try:
            await draft.write(line)
            for start in range(0, len(data), PIECE_BYTES):
                await draft.write(bytes(data[start : start + PIECE_BYTES]))
            await draft.finish()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await draft.aclose()
                await self.store.delete(self.folder, draft_of)
            raise
        await self.store.publish(self.folder, draft_of, self.name)

    async def delete(self) -> None:
        """There is none any more."""
        await self.store.delete(self.folder, self.name)
        await self.store.delete(self.folder, draft_name(self.name))
