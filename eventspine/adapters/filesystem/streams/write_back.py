"""Writing back ahead of a checkpoint: the kernel is told to begin with a few files at a time.

Why: one syncfs over all that a thousand streams have written fills the disk's queue for a quarter
of a second, and each commit in that time waits 20 to 40 ms behind it. Spread over a second before,
the syncfs finds little left (docs/PERFORMANCE.md).
Rules: it makes nothing durable and no error is looked for: both are the business of the sync that
follows. Whoever is in a hurry, because the log grows long or the store closes, goes without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams.open_streams import OpenStreams

STEP_STREAMS = 10
STEP_S = 0.01
STEPS_MAX = 200


def write_back(
    keys: Sequence[str], opened: OpenStreams, disk: Disk, pause: Callable[[float], bool]
) -> None:
    """Begin to write what these streams' files hold, as far as they are open. Blocks.

    Args:
        pause: waits so many seconds; False when there is no time for more of it.
    """
    step = max(STEP_STREAMS, len(keys) // STEPS_MAX)
    for at in range(0, len(keys), step):
        for key in keys[at : at + step]:
            files = opened.borrow_nowait(key)
            if files is not None:
                try:
                    disk.begin_write_back(files.events)
                finally:
                    opened.give_back(files)
        if not pause(STEP_S):
            return
