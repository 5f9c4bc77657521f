"""Where bytes of any size lie: drafts that become durable, and names they are published under.

A folder is a scope's (`{kind}/{tenant}/{env}/{surface}/blobs`), a name is one path segment. What a
name means, and since when, is not known here: an index says that (actors/states/objects.py).
Small bytes may come in with the commit that names them, where the backend has a log for both: then
one sync makes both durable (`commit_of`).
Source: PATH-02, FN-03.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from eventspine.contracts.stores import StreamCommit


class BlobDraft(ABC):
    """Bytes on their way in. Nobody sees them before they are published."""

    size: int

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Of what was written so far, in hexadecimal digits."""

    @abstractmethod
    async def write(self, piece: bytes) -> None:
        """Append these bytes."""

    @abstractmethod
    async def finish(self) -> None:
        """Make bytes and name durable: after it they survive a power cut. Nothing is written on."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of it; the bytes stay where they are. Closing again is no error."""


class BlobReader(ABC):
    """The bytes of a name as they were when it was opened, whatever happens to the name."""

    size: int

    @abstractmethod
    async def read(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer only at the end."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of it. Closing again is no error."""


class BytesReader(BlobReader):
    """Bytes that are in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    async def read(self, count: int, offset: int) -> bytes:
        return self._data[offset : offset + count]

    async def aclose(self) -> None:
        return None


class BlobStore(ABC):
    """Blobs by folder and name.

    Every method raises StoreFull, StoreUnavailable, or for bytes that cannot be read StoreCorrupt.
    """

    logged_bytes_max = 0  # what `commit_of` takes

    def commit_of(self, folder: str, draft: str, data: bytes) -> StreamCommit | None:
        """These bytes as a commit for the store of the same backend; None: use `begin`.

        When it is durable, it is a finished draft. `draft` must be unused.
        """
        return None

    @abstractmethod
    async def begin(self, folder: str, name: str) -> BlobDraft:
        """A new, empty draft. `name` must be unused; the folder is made if it is not there."""

    @abstractmethod
    async def publish(self, folder: str, draft: str, name: str) -> bool:
        """Give a finished draft another name, at once, in place of what had it.

        After a crash it has the old name or the new one. Answers False if there is no such draft.
        """

    @abstractmethod
    async def open(self, folder: str, *names: str) -> BlobReader | None:
        """What the first of these names that is there stands for now; None: none is there."""

    def at_hand(self, folder: str, name: str, size: int) -> bytes | None:
        """What a name stands for, if it has `size` bytes and nothing has to be waited for.

        None: use `open`. Who asks has to know the bytes when it sees them: an earlier or later
        content of the name can have as many.
        """
        return None

    @abstractmethod
    async def delete(self, folder: str, name: str) -> bool:
        """Remove a name, durably. Answers whether there was one."""

    def path(self, folder: str, name: str) -> Path | None:
        """Where a name is a file of this machine, for who can read nothing else; None: nowhere."""
        return None

    @abstractmethod
    async def names(self, folder: str) -> list[str]:
        """All names of a folder in order, drafts among them; none if it was never written to."""
