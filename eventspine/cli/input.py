"""What commands read: a file, or standard input."""

from __future__ import annotations

import io
import sys
from typing import BinaryIO


def stated(text: str) -> bytes:
    """An argument that may be - for standard input."""
    return sys.stdin.buffer.read() if text == "-" else text.encode()


def size_of(file: BinaryIO) -> int | None:
    """Bytes in a file that is at its beginning, or None: a pipe has no size."""
    try:
        end = file.seek(0, io.SEEK_END)
        file.seek(0)
    except (OSError, ValueError):
        return None
    return end
