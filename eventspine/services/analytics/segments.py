"""Segments: cold events once more, as Parquet files beside the stream they are of.

    {name}.parquet/{epoch}-{first}-{last}-{digest}.parquet

Job: say which events need not be read from the stream, and put more of them aside.
Rules: a segment is a copy and never the truth. It holds the events `first` to `last` of an epoch,
which do not change any more; `digest` is the SHA-256 of the stored line of its last event with the
bytes of the file behind it, and a file is used only if that is so, looked at once a process. So one
that is torn, damaged, or of another stream is deleted and made again; so is one that somebody
deletes. Only segments without a gap from the first event on count.
Refused: a list of the segments in a file of its own, which could be wrong about them.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio

from eventspine.contracts.blobs import BlobStore
from eventspine.contracts.errors import BackendError, StoreCorrupt
from eventspine.contracts.threads import THREADS, Threads

log = logging.getLogger(__name__)
DRAFT = "draft"
PIECE_BYTES = 1024 * 1024
_NAME = re.compile(r"([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,18})-([0-9a-f]{64})\.parquet")
_GLOB = re.compile(r"[*?\[\]{}]")  # in a path, these would mean other files to the engine
LineOf = Callable[[int], Awaitable[bytes | None]]


class Segment(NamedTuple):
    first: int
    last: int
    name: str


class Segments:
    """The segments of one stream. `lock` is held by who brings them up to date."""

    def __init__(self, blobs: BlobStore | None, folder: str, threads: Threads = THREADS) -> None:
        self.lock = anyio.Lock()
        self._blobs = blobs
        self._folder = folder
        self._threads = threads
        self._known: list[Segment] = []
        self._looked: int | None = None  # the epoch it was looked for

    @property
    def usable(self) -> bool:
        """Whether files can be kept here at all, and be read by their paths."""
        path = None if self._blobs is None else self._blobs.path(self._folder, "")
        return path is not None and not _GLOB.search(str(path))

    async def known(self, epoch: int, line_of: LineOf) -> list[Segment]:
        """Those that can be used, without a gap from the first event on."""
        if not self.usable:
            return []
        if self._looked != epoch:
            self._known = []
            try:
                self._known = await self._found(epoch, line_of)
                self._looked = epoch
            except BackendError as error:  # without them it only takes longer
                log.warning("%s: the segments cannot be had: %s", self._folder, error)
        return list(self._known)

    def forget(self) -> None:
        """Look at all of them again the next time: one could not be read."""
        self._looked = None

    def paths(self, segments: Sequence[Segment]) -> list[Path]:
        found = [self._path(segment.name) for segment in segments]
        return [path for path in found if path is not None]

    async def add(
        self, epoch: int, first: int, lines: Sequence[bytes], parquet: bytes
    ) -> Segment | None:
        """Keep the events from `first` on. None: it cannot be, or would leave a gap behind it."""
        if first != (self._known[-1].last + 1 if self._known else 1):
            return None
        last = first + len(lines) - 1
        digest = await self._threads.run_sync(_digest, lines[-1], parquet)
        name = f"{epoch}-{first}-{last}-{digest}.parquet"
        try:
            written = await self._write(name, parquet)
        except BackendError as error:
            log.warning("%s: no segment was written: %s", self._folder, error)
            written = False
        if not written:
            return None
        self._known.append(Segment(first, last, name))
        return self._known[-1]

    async def _write(self, name: str, parquet: bytes) -> bool:
        assert self._blobs is not None, "asked only where segments are usable"
        await self._blobs.delete(self._folder, DRAFT)
        draft = await self._blobs.begin(self._folder, DRAFT)
        try:
            await draft.write(parquet)
            await draft.finish()
        finally:
            with anyio.CancelScope(shield=True):
                await draft.aclose()
        return await self._blobs.publish(self._folder, DRAFT, name)

    async def _found(self, epoch: int, line_of: LineOf) -> list[Segment]:
        assert self._blobs is not None, "asked only where segments are usable"
        named: dict[int, list[Segment]] = {}
        for name in await self._blobs.names(self._folder):
            match = _NAME.fullmatch(name)
            if match is None or int(match[1]) != epoch:
                await self._delete(name)
            else:
                segment = Segment(int(match[2]), int(match[3]), name)
                named.setdefault(segment.first, []).append(segment)
        chain: list[Segment] = []
        while candidates := named.pop(chain[-1].last + 1 if chain else 1, None):
            good = await self._first_good(candidates, line_of)
            if good is None:
                break
            chain.append(good)
        for segment in (one for candidates in named.values() for one in candidates):
            await self._delete(segment.name)  # behind a gap, which is made anew from its first on
        return chain

    async def _first_good(self, candidates: Sequence[Segment], line_of: LineOf) -> Segment | None:
        good: Segment | None = None
        for segment in sorted(candidates, key=lambda one: -one.last):
            if good is None and await self._is_good(segment, line_of):
                good = segment
            else:
                await self._delete(segment.name)
        return good

    async def _delete(self, name: str) -> None:
        assert self._blobs is not None, "asked only where segments are usable"
        log.warning("%s: %s is not used and goes", self._folder, name)
        try:
            await self._blobs.delete(self._folder, name)
        except BackendError as error:
            log.warning("%s: it stays: %s", self._folder, error)

    async def _is_good(self, segment: Segment, line_of: LineOf) -> bool:
        line = await line_of(segment.last)
        if line is None or segment.last < segment.first:
            return False
        try:
            parquet = await self._read(segment.name)
        except StoreCorrupt as error:
            log.warning("%s: %s", segment.name, error)
            return False
        digest = await self._threads.run_sync(_digest, line, parquet)
        return segment.name.endswith(f"-{digest}.parquet")

    async def _read(self, name: str) -> bytes:
        assert self._blobs is not None, "asked only where segments are usable"
        reader = await self._blobs.open(self._folder, name)
        if reader is None:
            return b""
        try:
            pieces = [
                await reader.read(PIECE_BYTES, at) for at in range(0, reader.size, PIECE_BYTES)
            ]
        finally:
            with anyio.CancelScope(shield=True):
                await reader.aclose()
        return b"".join(pieces)

    def _path(self, name: str) -> Path | None:
        return None if self._blobs is None else self._blobs.path(self._folder, name)


def _digest(line: bytes, parquet: bytes) -> str:
    digest = hashlib.sha256(line)
    digest.update(parquet)
    return digest.hexdigest()
