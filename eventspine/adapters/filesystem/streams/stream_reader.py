"""Reading any page of a stream by reading only its runs, each checked against its index entry.

May run on any thread. A read that must not wait for the disk (`wait` False) answers None when it
would have to; the same read then waits on a thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams import runs
from eventspine.adapters.filesystem.streams.open_streams import OpenStream, OpenStreams
from eventspine.adapters.filesystem.streams.runs import ENTRY_BYTES, Run
from eventspine.adapters.filesystem.streams.stream_folders import StreamFolders
from eventspine.contracts.lines import LineBlock, block_of, count_lines

PAGE_ENTRIES = 64


class StreamReader:
    """The reading half of a root's stream files."""

    def __init__(self, folders: StreamFolders, disk: Disk, open_max: int) -> None:
        self._folders = folders
        self._disk = disk
        self.open = OpenStreams(self._open_stream, disk.close, max(open_max // 2, 4))

    def read(
        self, key: str, first: int, count: int, bytes_max: int, *, wait: bool
    ) -> Sequence[bytes] | None:
        """Lines of events `first` and on, whole runs checked; at least one if there is one.

        With `wait` False, None when that cannot be told without waiting for the disk.
        """
        if wait:
            with self.open.lease(key) as files:
                return (
                    [] if files is None else self._read(key, files, first, count, bytes_max, True)
                )
        files = self.open.borrow_nowait(key)
        if files is None:
            return None
        try:
            return self._read(key, files, first, count, bytes_max, False)
        finally:
            self.open.give_back(files)

    def _open_stream(self, key: str) -> OpenStream | None:
        self._folders.check(key)
        try:
            events = self._disk.open(self._folders.events_path(key))
        except FileNotFoundError:
            return None
        try:
            index = self._disk.open(self._folders.index_path(key))
        except FileNotFoundError:
            self._disk.close(events)
            raise self._folders.corrupt(key, "the index is missing") from None
        except OSError:
            self._disk.close(events)
            raise
        return OpenStream(events, index)

    def _read(
        self, key: str, files: OpenStream, first: int, count: int, bytes_max: int, wait: bool
    ) -> Sequence[bytes] | None:
        entries = self._disk.size(files.index) // ENTRY_BYTES - 1
        at = self._find(key, files.index, entries, first, wait)
        if at is None:
            return None
        lines: list[bytes] = []
        room = bytes_max
        while at < entries and len(lines) < count and (room > 0 or not lines):
            wanted = self._runs(
                key, files.index, at, first + len(lines), count - len(lines), room, wait
            )
            got = (
                self._lines(key, files.events, wanted, first + len(lines), count - len(lines), wait)
                if wanted is not None
                else None
            )
            if wanted is None or got is None:
                return None
            if got.size > room:
                return _first_of(got, room, lines)
            at += len(wanted)
            if not lines and (len(got) == count or at == entries):
                return got  # nearly always: one piece, as it lies
            lines += got
            room -= got.size
            if not wanted or wanted[-1].flags & runs.CLOSED:
                break
        return lines

    def _lines(
        self, key: str, fd: int, wanted: list[Run], first: int, count: int, wait: bool
    ) -> LineBlock | None:
        """At most `count` lines from event `first` on, of these runs, which hold it."""
        wanted = [run for run in wanted if run.events]
        if not wanted:
            return LineBlock(b"", 0, 0, 0)
        start = wanted[0].offset
        data = self._bytes(fd, wanted[-1].end - start, start, wait)
        if data is None:
            return None
        view = memoryview(data)
        for run in wanted:
            if not run.holds(view[run.offset - start : run.end - start]):
                which = f"events {run.first} to {run.last}"
                raise self._folders.corrupt(key, f"{which} fail their checksum")
        events = wanted[-1].last - wanted[0].first + 1
        if count_lines(data) != events or data[-1:] != b"\n":
            raise self._folders.corrupt(key, f"events from {wanted[0].first} on are not one a line")
        skip = min(first - wanted[0].first, events)
        return block_of(data, skip, min(count, events - skip), events)

    def _runs(
        self, key: str, fd: int, at: int, first: int, count: int, room: int, wait: bool
    ) -> list[Run] | None:
        """The runs from entry `at` on that hold the wanted events: one page of entries at most.

        Decodes no entry that is not needed: that is most of what a small page costs.
        """
        data = self._bytes(fd, PAGE_ENTRIES * ENTRY_BYTES, (at + 1) * ENTRY_BYTES, wait)
        if data is None:
            return None
        wanted: list[Run] = []
        for run in runs.decode_runs(data):
            if wanted and (room <= 0 or wanted[-1].last >= first + count - 1):
                break
            if run is None or (wanted and run.first != wanted[-1].last + 1):
                raise self._folders.corrupt(key, "an index entry is damaged")
            wanted.append(run)
            room -= run.length
        return wanted

    def _find(self, key: str, fd: int, entries: int, first: int, wait: bool) -> int | None:
        """Number of the entry whose run holds `first`; `entries` if none does.

        Interpolates, since runs tend to hold as many events each, and halves when that fails to
        get close: at most 2 log2(entries) small reads, usually two or three. For that it has to
        know an event on either side, so it looks at the last entry once.
        """
        low, high = 0, entries
        low_first, high_first = 1, None
        guesses = 0
        while high - low > 1:
            middle = (low + high) // 2
            if high_first is None and guesses == 1:
                middle = high - 1
            elif high_first is not None and guesses % 2 == 0:
                share = (first - low_first) / max(high_first - low_first, 1)
                middle = min(max(low + int(share * (high - low)), low + 1), high - 1)
            guesses += 1
            data = self._bytes(fd, ENTRY_BYTES, (middle + 1) * ENTRY_BYTES, wait)
            if data is None:
                return None
            run = runs.decode_run(data)
            if run is None:
                raise self._folders.corrupt(key, f"index entry {middle} is damaged")
            if run.first <= first:
                low, low_first = middle, run.first
                if first <= run.last:
                    break
            else:
                high, high_first = middle, run.first
        return low

    def _bytes(self, fd: int, count: int, offset: int, wait: bool) -> bytes | None:
        if wait:
            return self._disk.read(fd, count, offset)
        return self._disk.read_nowait(fd, count, offset)


def _first_of(got: Sequence[bytes], room: int, lines: list[bytes]) -> list[bytes]:
    """`lines` and as many more as there is room for; one line at least, whatever its size."""
    for line in got:
        room -= len(line)
        if room < 0 and lines:
            break
        lines.append(line)
    return lines
