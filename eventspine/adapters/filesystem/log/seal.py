"""A place in the commit log, as 64 bytes: which record, and the chain up to it. Little-endian.

    seal    "ESSEAL\\x00\\x01" | lsn u64 | chain 32 | zeros 12 | crc32 of these u32            = 64

Two files hold one. `commit_log/seal`: the last durable record, written after each commit without
waiting for the disk. `commit_log/checkpoint`: the last record that the stream files hold durably,
replaced as a whole; recovery starts behind it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple
from zlib import crc32

SEAL_FILE = "seal"
CHECKPOINT_FILE = "checkpoint"
_seal = struct.Struct("<8sQ32s12x")
_u32 = struct.Struct("<I")
_MAGIC = b"ESSEAL\x00\x01"


class Seal(NamedTuple):
    """Record 0 is the beginning of every log."""

    lsn: int = 0
    chain: bytes = bytes(32)


def encode_seal(seal: Seal) -> bytes:
    body = _seal.pack(_MAGIC, seal.lsn, seal.chain)
    return body + _u32.pack(crc32(body))


def decode_seal(data: bytes | None) -> Seal:
    """The seal in `data`; the beginning when there is none or it is not whole."""
    if data is None or len(data) != 64 or _u32.unpack_from(data, 60)[0] != crc32(data[:60]):
        return Seal()
    magic, lsn, chain = _seal.unpack_from(data)
    return Seal(lsn, chain) if magic == _MAGIC else Seal()
