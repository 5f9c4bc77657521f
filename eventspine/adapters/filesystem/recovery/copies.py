"""What the stream files have of the commit log's records, for a scan that meets damage."""

from __future__ import annotations

from collections.abc import Sequence

from eventspine.adapters.filesystem.log.log_scan import LogScan
from eventspine.adapters.filesystem.log.record import without_heads
from eventspine.adapters.filesystem.quarantine import Quarantine, Refused
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.adapters.filesystem.streams.stream_folders import FILE_FAILURES
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import CommitKind, StreamCommit

_ALL_BYTES = 1 << 40


class FileCopies:
    """The copies in events.jsonl, each run checked. What the files cannot tell they do not have."""

    def __init__(self, files: StreamFiles) -> None:
        self._files = files

    def lines(self, commit: StreamCommit) -> Sequence[bytes] | None:
        if commit.kind is CommitKind.BLOB:
            return self._blob(commit.key)
        count = len(commit.lines)
        try:
            state = self._files.load(commit.key)
            if state is None or state.epoch != commit.epoch or not count:
                return None
            lines = self._files.reader.read(
                commit.key, commit.first_sequence, count, _ALL_BYTES, wait=True
            )
        except (StoreCorrupt, OSError, ValueError):  # a damaged key may be no path at all
            return None
        finally:
            self._files.reader.open.forget(commit.key)
        return list(lines) if lines is not None and len(lines) == count else None

    def _blob(self, key: str) -> Sequence[bytes] | None:
        """What lies under the draft's name; once it has its own, the index knows of it."""
        try:
            data = self._files.disk.read_file(self._files.root / key)
        except (OSError, ValueError):
            return None
        return None if data is None else without_heads(data)

    def knows(self, key: str) -> bool:
        try:
            return self._files.load(key) is not None
        except StoreCorrupt:
            return True
        except OSError as error:
            return error.errno in FILE_FAILURES  # there is something, that fails
        except ValueError:
            return False


def put_aside(
    commits: Sequence[StreamCommit], scan: LogScan, files: StreamFiles, quarantine: Quarantine
) -> list[StreamCommit]:
    """What of a record can be applied: later events of a stream that has lost some are kept aside.

    A delete ends the loss: nothing before it counts any more.
    """
    applied = []
    for commit in commits:
        lost = scan.lost.get(commit.key)
        if lost is not None and commit.kind is CommitKind.DELETE:
            del scan.lost[commit.key]
        elif lost is not None:
            if commit.lines:
                lines = b"".join(line + b"\n" for line in commit.lines)
                quarantine.keep(files.events_path(commit.key), lines)
            through = max(lost.through, commit.first_sequence + len(commit.lines) - 1)
            scan.lost[commit.key] = Refused(lost.key, lost.found, through)
            continue
        applied.append(commit)
    return applied


def refuse_lost(scan: LogScan, quarantine: Quarantine) -> None:
    """Have the streams refuse that a finished scan had to give up; before the log is dropped."""
    for one in scan.lost.values():
        quarantine.refuse(one)
