"""SHA-256 and CRC-32 of short pieces, without handing the interpreter to another thread.

Why: hashlib gives the interpreter away for more than 2,047 bytes and zlib for more than 5 KiB, and
beside a busy loop taking it back costs far more than the sum (docs/PERFORMANCE.md). So a piece is
fed in slices that stay below; what is long enough to be worth it is fed whole. The compiled CRC-32
never gives it away: a megabyte takes it 80 us, a third of zlib's time.
"""

from __future__ import annotations

from hashlib import sha256
from zlib import crc32

from eventspine.native import core

HELD_BYTES_MAX = 256 * 1024
_SHA_BYTES = 2047
_CRC_BYTES = 5 * 1024


def sha256_of(head: bytes, data: bytes) -> bytes:
    """The digest of `head` and `data`, one after the other."""
    digest = sha256(head)
    if len(data) > HELD_BYTES_MAX:
        digest.update(data)
    else:
        view = memoryview(data)
        for at in range(0, len(data), _SHA_BYTES):
            digest.update(view[at : at + _SHA_BYTES])
    return digest.digest()


def crc32_of(data: bytes | memoryview) -> int:
    if core is not None:
        compiled: int = core.crc32(data)
        return compiled
    if len(data) > HELD_BYTES_MAX:
        return crc32(data)
    view, crc = memoryview(data), 0
    for at in range(0, len(data), _CRC_BYTES):
        crc = crc32(view[at : at + _CRC_BYTES], crc)
    return crc
