"""After a start: every blob that the log holds is written again, as the draft it came in as.

Job: make them durable, so that a checkpoint may say so and the log may go.
Rules:
- Whether a file of it is there, under whatever name and with whatever in it, is not looked at.
  Which drafts count, the index knows when the scope is used first (services/object_shelf.py).
- One error proves nothing, as for streams (completion.py): what failed is written again, each by
  itself. What fails a second time costs that blob: its bytes are kept in quarantine/ and its file
  is left empty, so that reading it is refused. If the disk takes no new file at all, it is nobody's
  fault, and the store stays closed.
"""

from __future__ import annotations

import logging

from eventspine.adapters.filesystem.blobs.files import BlobFiles
from eventspine.adapters.filesystem.blobs.logged import LoggedBlob, Place
from eventspine.adapters.filesystem.disk import NO_SPACE
from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.adapters.filesystem.streams.stream_folders import FILE_FAILURES

log = logging.getLogger(__name__)


def complete_blobs(files: BlobFiles, quarantine: Quarantine) -> bool:
    """Write and sync what was taken. False when the disk is full: it can wait, and nothing is lost.

    Raises OSError.
    """
    blobs = files.logged.taken()
    try:
        _complete(blobs, files, quarantine)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        files.logged.take_again(blobs)
        return False
    return True


def _complete(
    blobs: list[tuple[Place, LoggedBlob]], files: BlobFiles, quarantine: Quarantine
) -> None:
    try:
        files.write()
        files.sync()
    except OSError as error:
        if error.errno not in FILE_FAILURES:
            raise
        log.warning("blobs of %s: %s", files.root, error)
    else:
        return
    files.logged.take_again([])
    failing = [one for one in blobs if not _is_written(one, files)]
    if failing:
        quarantine.try_disk()
    for place, blob in failing:
        folder, name = place
        quarantine.keep(files.root / folder / name, blob.data)
        files.empty(place)
    if blobs:
        files.sync_folders({folder for (folder, _), _ in blobs})


def _is_written(one: tuple[Place, LoggedBlob], files: BlobFiles) -> bool:
    place, blob = one
    try:
        files.write_alone(place, blob.data)
    except OSError as error:
        if error.errno not in FILE_FAILURES:
            raise
        log.warning("%s: %s", place, error)
        return False
    return True
