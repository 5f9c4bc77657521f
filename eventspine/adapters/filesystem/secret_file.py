"""A secret of a root: 32 random bytes in a file that only its owner may read.

Made at first use, durably; never logged, never answered. Whoever deletes the file takes back every
address that was signed with it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import anyio

from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import RootInvalid
from eventspine.contracts.threads import THREADS, Threads

SECRET_BYTES = 32
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class SecretFile:
    """One process has a root, and one of these; so nobody else makes the file at the same time."""

    def __init__(self, path: Path, disk: Disk, threads: Threads = THREADS) -> None:
        self._path, self._disk, self._threads = path, disk, threads
        self._secret: bytes | None = None
        self._making = anyio.Lock()

    async def read(self) -> bytes:
        """The secret. Raises RootInvalid for a file that is none, or that cannot be made."""
        async with self._making:
            if self._secret is None:
                self._secret = await self._threads.run_sync(self._read)
            return self._secret

    def _read(self) -> bytes:
        try:
            found = self._disk.read_file(self._path)
            secret = self._make() if found is None else found
        except OSError as error:
            raise RootInvalid(f"{self._path.name}: {error.strerror}") from error
        if len(secret) != SECRET_BYTES:
            raise RootInvalid(f"{self._path.name} must hold {SECRET_BYTES} bytes; or delete it")
        return secret

    def _make(self) -> bytes:
        secret, draft = secrets.token_bytes(SECRET_BYTES), self._path.with_suffix(".new")
        fd = os.open(draft, _NEW, 0o600)
        try:
            os.fchmod(fd, 0o600)
            self._disk.write(fd, secret, 0)
            self._disk.sync(fd)
        finally:
            os.close(fd)
        self._disk.rename(draft, self._path)
        self._disk.sync_directory(self._path.parent)
        return secret
