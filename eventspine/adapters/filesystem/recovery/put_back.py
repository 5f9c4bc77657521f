"""Putting back what was set aside: a stream that refuses, completed from quarantine/.

Job: when the files of a stream work again, bring them to where the log was when its events were set
aside, exactly as recovery would have from the log itself.
Rules: only what the refusal names in `kept` counts: these bytes were lines of a log that was read
and proven. Anything else in quarantine/ may never have been acknowledged, and is for a person.
What is put back is durable before the refusal goes; until then all of this can be done again.
"""

from __future__ import annotations

import msgspec

from eventspine.adapters.filesystem.quarantine import Quarantine, Refused
from eventspine.adapters.filesystem.recovery.mend import mend_tail
from eventspine.adapters.filesystem.streams.backlog import Unflushed
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.stores import StreamCommit
from eventspine.contracts.wire import place_of_line


def put_back(files: StreamFiles, quarantine: Quarantine, one: Refused) -> None:
    """Complete the files of a stream as far as what was set aside from it reaches.

    Raises:
        StoreCorrupt: events that were durable before the log began are not there.
        OSError: its files fail still, or it is not known whether they do.
    """
    if not one.epoch:
        return
    part = _part_of(one, _lines_of(one, quarantine))
    files.distrust(one.key)
    mend_tail(files, quarantine, one.key, part)
    files.append(one.key, part)
    files.sync()


def _lines_of(one: Refused, quarantine: Quarantine) -> dict[int, bytes]:
    """What was set aside of the stream's last life, by sequence."""
    found: dict[int, bytes] = {}
    for name in one.kept:
        for line in quarantine.kept(name).splitlines():
            try:
                said = place_of_line(line)
                epoch = Cursor.parse(said.cursor).epoch
            except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
                continue  # somebody has edited the file, or it has rotted
            if epoch == one.epoch:
                found[said.sequence] = line
    return found


def _part_of(one: Refused, lines: dict[int, bytes]) -> Unflushed:
    """The end of the stream, without a gap, as the backlog had it."""
    first = one.through + 1
    while first - 1 in lines:
        first -= 1
    stretch = [lines[sequence] for sequence in range(first, one.through + 1)]
    commit = StreamCommit(one.key, one.mode or "", one.epoch, first, stretch)
    part = Unflushed(commit)
    part.add(commit)
    part.closed = one.closed
    part.wipe = first == 1  # it is the whole life: files of an older one were deleted
    return part
