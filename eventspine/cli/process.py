"""What a process that serves asks of its system: files, its collector, its memory.

Only `eventspine serve` does this. A program that embeds eventspine decides for itself.
"""

from __future__ import annotations

import gc
import resource

from eventspine.native import core

OPEN_FILES = 65_536
YOUNG_OBJECTS = 20_000
BLOCK_BYTES = 16 * 1024 * 1024
SPARE_BYTES = 32 * 1024 * 1024


def take_open_files() -> None:
    """A connection and a stream are files, and the usual limit of 1,024 is for a shell."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def calm_collector() -> None:
    """Collect garbage less often, and never look again at what the start has made.

    A request leaves no cycles behind; with the defaults, looking for them was a tenth of an append.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def keep_memory() -> bool:
    """Half a megabyte for a page is kept for the next one. False where that cannot be told.

    glibc gives blocks of more than 128 KiB back to the system at once, and the system fills each
    anew with zeros: that took longer than all the rest of a page of 1,000 events. Now blocks of up
    to `BLOCK_BYTES` are kept, of free memory `SPARE_BYTES` at most.
    """
    return core is not None and bool(core.keep_blocks(BLOCK_BYTES, SPARE_BYTES))
