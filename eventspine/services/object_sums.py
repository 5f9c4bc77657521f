"""SHA-256 of the bytes of objects: on the loop as long as they are few. Source: FN-03, KIND-09."""

from __future__ import annotations

import hashlib
from typing import Any

import anyio
import anyio.to_thread

from eventspine.contracts.errors import ChecksumMismatch

HELD_BYTES_MAX = 2047
HASH_HERE_BYTES = 64 * 1024  # what the loop hashes itself; more goes to a thread


def check_sum(expected: str | None, actual: str) -> None:
    """Raises ChecksumMismatch."""
    if expected is not None and expected.lower() != actual:
        raise ChecksumMismatch(
            f"SHA-256 of the bytes is {actual}", expected=expected.lower(), actual=actual
        )


def sum_of(data: bytes) -> str:
    """Of at most `HASH_HERE_BYTES`, in hexadecimal digits."""
    digest = hashlib.sha256()
    _add_here(digest, data)
    return digest.hexdigest()


async def add_to(digest: Any, piece: bytes) -> None:
    """Hash a piece: here, or on a thread if it is large."""
    if len(piece) <= HASH_HERE_BYTES:
        _add_here(digest, piece)
    else:
        await anyio.to_thread.run_sync(digest.update, piece)


def _add_here(digest: Any, piece: bytes) -> None:
    """In slices: for more, hashlib gives the interpreter to another thread, and taking it back
    costs more than the sum.
    """
    view = memoryview(piece)
    for at in range(0, len(piece), HELD_BYTES_MAX):
        digest.update(view[at : at + HELD_BYTES_MAX])
