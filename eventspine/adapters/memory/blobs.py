"""Blobs in memory, for experiments in lab: nothing survives the process (R-09)."""

from __future__ import annotations

import hashlib

from anyio.lowlevel import checkpoint

from eventspine.contracts.blobs import BlobDraft, BlobReader, BlobStore, BytesReader


class _Draft(BlobDraft):
    def __init__(self, place: dict[str, bytes], name: str) -> None:
        self._place, self._name = place, name
        self._pieces: list[bytes] = []
        self._hash = hashlib.sha256()
        self.size = 0
        place[name] = b""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def write(self, piece: bytes) -> None:
        await checkpoint()
        self._hash.update(piece)
        self._pieces.append(bytes(piece))
        self.size += len(piece)

    async def finish(self) -> None:
        await checkpoint()
        self._place[self._name] = b"".join(self._pieces)

    async def aclose(self) -> None:
        self._pieces = []


class MemoryBlobStore(BlobStore):
    def __init__(self) -> None:
        self._folders: dict[str, dict[str, bytes]] = {}

    async def begin(self, folder: str, name: str) -> BlobDraft:
        await checkpoint()
        return _Draft(self._folders.setdefault(folder, {}), name)

    async def publish(self, folder: str, draft: str, name: str) -> bool:
        await checkpoint()
        place = self._folders.get(folder, {})
        if draft not in place:
            return False
        place[name] = place.pop(draft)
        return True

    async def open(self, folder: str, *names: str) -> BlobReader | None:
        await checkpoint()
        place = self._folders.get(folder, {})
        return next((BytesReader(place[name]) for name in names if name in place), None)

    def at_hand(self, folder: str, name: str, size: int) -> bytes | None:
        data = self._folders.get(folder, {}).get(name)
        return data if data is not None and len(data) == size else None

    async def delete(self, folder: str, name: str) -> bool:
        await checkpoint()
        return self._folders.get(folder, {}).pop(name, None) is not None

    async def names(self, folder: str) -> list[str]:
        await checkpoint()
        return sorted(self._folders.get(folder, ()))
