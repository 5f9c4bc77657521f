"""The files of streams: `{root}/{key}/events.jsonl`, and `events.idx` beside it.

Job: append stretches of lines, in bulk; read any page by reading only its runs; make files durable.
Rules: data is written before the index entry that names it, so what the index says is there. An
entry is believed only with its checksums. Files are appended by the flusher's thread alone; reads
may run on any thread, through descriptors that a bounded cache holds open.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eventspine.adapters.filesystem import runs
from eventspine.adapters.filesystem.backlog import Unflushed
from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.runs import ENTRY_BYTES, HEAD_BYTES, IndexHead, Run
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import StreamHead

EVENTS_FILE = "events.jsonl"
INDEX_FILE = "events.idx"
STATES_MAX = 65_536
PAGE_ENTRIES = 64


@dataclass(slots=True)
class FileState:
    """Where the files of a stream end. `entries` counts index entries."""

    epoch: int
    mode: str | None
    last: int = 0
    end: int = 0
    entries: int = 0
    chain: bytes = runs.GENESIS
    closed: bool = False

    def head(self) -> StreamHead:
        return StreamHead(self.epoch, self.last, self.closed, self.mode)

    def take(self, run: Run) -> None:
        self.last, self.end, self.chain = run.last, run.end, run.chain
        self.closed = bool(run.flags & runs.CLOSED)
        self.entries += 1


class _Open:
    """Descriptors of one stream and how many reads use them right now."""

    __slots__ = ("events", "index", "stale", "users")

    def __init__(self, events: int, index: int) -> None:
        self.events = events
        self.index = index
        self.users = 0
        self.stale = False


class StreamFiles:
    """All stream files below one root."""

    def __init__(self, root: Path, disk: Disk, open_max: int) -> None:
        self.root = root
        self.disk = disk
        self.damaged: dict[str, str] = {}
        self._open_max = max(open_max // 2, 4)
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._states: OrderedDict[str, FileState] = OrderedDict()
        self._made: set[Path] = set()
        self._unsynced: dict[str, bool] = {}

    def folder(self, key: str) -> Path:
        return self.root / key

    def events_path(self, key: str) -> Path:
        return self.folder(key) / EVENTS_FILE

    # --- where a stream stands ---

    def load(self, key: str) -> FileState | None:
        """Where the files of a stream end; None when it has none.

        Raises:
            StoreCorrupt: the files do not agree with each other.
        """
        if key in self.damaged:
            raise self.corrupt(key, self.damaged[key])
        folder = self.folder(key)
        try:
            index = self.disk.open_read(folder / INDEX_FILE)
        except FileNotFoundError:
            if self.events_size(key):  # taken for a new stream, it would be written over
                raise self.corrupt(key, "the index is missing") from None
            return None
        try:
            return self._state_of(key, index)
        finally:
            self.disk.close(index)

    def _state_of(self, key: str, index: int) -> FileState:
        size = self.disk.size(index)
        head = runs.decode_head(self.disk.read(index, HEAD_BYTES, 0))
        if head is None or size % ENTRY_BYTES:
            raise self.corrupt(key, "the index is not whole")
        state = FileState(head.epoch, head.mode)
        entries = size // ENTRY_BYTES - 1
        if entries:
            run = runs.decode_run(self.disk.read(index, ENTRY_BYTES, size - ENTRY_BYTES))
            if run is None:
                raise self.corrupt(key, "the last index entry is damaged")
            state.take(run)
            state.entries = entries
        if head.closed and not state.closed:
            raise self.corrupt(key, "the last index entries are missing")
        if self.events_size(key) != state.end:
            raise self.corrupt(key, f"events.jsonl does not end at byte {state.end}")
        return state

    def events_size(self, key: str) -> int:
        try:
            fd = self.disk.open_read(self.folder(key) / EVENTS_FILE)
        except FileNotFoundError:
            return 0
        try:
            return self.disk.size(fd)
        finally:
            self.disk.close(fd)

    def corrupt(self, key: str, found: str) -> StoreCorrupt:
        return StoreCorrupt(
            f"{key}: {found}", path=str(self.folder(key) / EVENTS_FILE), found=found
        )

    # --- appending: the flusher's thread only ---

    def append(self, key: str, part: Unflushed) -> None:
        """Write a stretch to the files; what they hold already is left alone."""
        if part.wipe and self._epoch(key) < part.epoch:
            self._wipe(key, part.epoch)
        state = self._known_state(key)
        if state is None:
            state = FileState(part.epoch, part.mode)
            self._begin(key, state)
        if state.epoch != part.epoch or part.first > state.last + 1:
            raise self.corrupt(key, f"events after {state.last} are missing before {part.first}")
        if state.mode is None and part.mode is not None:
            self.write_head(key, IndexHead(state.epoch, part.mode))
            state.mode = part.mode
        self._remember(key, state)  # before writing: a write that failed is done over from here
        self._unsynced.setdefault(key, False)
        self._write(key, state, part)

    def _write(self, key: str, state: FileState, part: Unflushed) -> None:
        lines = part.lines[state.last + 1 - part.first :]
        pieces, entries = runs.make_runs(lines, state.last + 1, state.end, state.chain)
        if part.closed and not state.closed:
            last = entries[-1] if entries else None
            end = last.end if last else state.end
            chain = last.chain if last else state.chain
            entries.append(runs.closing_run(part.next, end, chain))
        if not entries:
            return
        folder = self.folder(key)
        if pieces:
            self._write_at(folder / EVENTS_FILE, b"".join(pieces), state.end)
        at = HEAD_BYTES + state.entries * ENTRY_BYTES
        self._write_at(folder / INDEX_FILE, b"".join(map(runs.encode_run, entries)), at)
        for run in entries:
            state.take(run)
        if state.closed:
            self.write_head(key, IndexHead(state.epoch, state.mode, closed=True))

    def _write_at(self, path: Path, data: bytes, offset: int) -> None:
        fd = self.disk.open(path, create=True)
        try:
            self.disk.write(fd, data, offset)
        finally:
            self.disk.close(fd)

    def _begin(self, key: str, state: FileState) -> None:
        """Make the folder and the index of a new stream; no index at all if that fails."""
        self._make(key)
        try:
            self.write_head(key, IndexHead(state.epoch, state.mode))
        except OSError:
            if self.disk.exists(self.folder(key) / INDEX_FILE):
                self.disk.unlink(self.folder(key) / INDEX_FILE)
            raise

    def write_head(self, key: str, head: IndexHead) -> None:
        self._write_at(self.folder(key) / INDEX_FILE, runs.encode_head(head), 0)
        self._unsynced[key] = True

    def _make(self, key: str) -> None:
        """Make the folder of a stream; remember which directories have a new entry."""
        made = self.disk.make_directories(self.folder(key))
        self._made.update(folder.parent for folder in made)
        self._unsynced[key] = True

    def _wipe(self, key: str, epoch: int) -> None:
        """Delete the events of older epochs; leave an index head that remembers the epoch."""
        self._make(key)
        folder = self.folder(key)
        for name in self.disk.names(folder):
            if name != INDEX_FILE:
                self.disk.unlink(folder / name)
        self.disk.replace_file(folder / INDEX_FILE, runs.encode_head(IndexHead(epoch, None)))
        self._states.pop(key, None)
        self.forget(key)
        self._unsynced[key] = True

    def _epoch(self, key: str) -> int:
        """The epoch that the index says, whatever else is wrong with the files; 0 for none."""
        state = self._states.get(key)
        if state is not None:
            return state.epoch
        head = runs.decode_head(self.disk.read_file(self.folder(key) / INDEX_FILE) or b"")
        return head.epoch if head is not None else 0

    def _known_state(self, key: str) -> FileState | None:
        state = self._states.get(key)
        if state is None:
            state = self.load(key)
        return state

    def _remember(self, key: str, state: FileState) -> None:
        self._states[key] = state
        self._states.move_to_end(key)
        if len(self._states) > STATES_MAX:
            self._states.popitem(last=False)

    def adopt(self, key: str, state: FileState) -> None:
        """Where a stream stands after recovery has looked at its files."""
        self._remember(key, state)

    def distrust(self, key: str) -> None:
        """Recovery: nothing of the stream is taken for durable, not even its folders' names."""
        self._unsynced[key] = True
        folder = self.folder(key)
        while folder != self.root:
            folder = folder.parent
            self._made.add(folder)

    # --- durability: the flusher's thread only ---

    def sync(self) -> int:
        """Make everything appended so far durable, names included. Answers how many streams."""
        unsynced, self._unsynced = self._unsynced, {}
        for key, renamed in unsynced.items():
            folder = self.folder(key)
            for name in (EVENTS_FILE, INDEX_FILE):
                self._sync_file(folder / name)
            if renamed:
                self.disk.sync_directory(folder)
        made, self._made = self._made, set()
        for folder in sorted(made, reverse=True):
            self.disk.sync_directory(folder)
        return len(unsynced)

    def _sync_file(self, path: Path) -> None:
        try:
            fd = self.disk.open(path)
        except FileNotFoundError:
            return
        try:
            self.disk.sync_data(fd)
        finally:
            self.disk.close(fd)

    # --- reading: any thread ---

    def read(
        self, key: str, first: int, count: int, bytes_max: int, *, wait: bool
    ) -> list[bytes] | None:
        """Lines of events `first` and on, whole runs checked; at least one if there is one.

        With `wait` False, None when that cannot be told without waiting for the disk.
        """
        if wait:
            with self._lease(key) as files:
                return (
                    [] if files is None else self._read(key, files, first, count, bytes_max, True)
                )
        with self._lock:
            files = self._open.get(key)
            if files is None:
                return None
            files.users += 1
        try:
            return self._read(key, files, first, count, bytes_max, False)
        finally:
            self._return(files)

    def _read(
        self, key: str, files: _Open, first: int, count: int, bytes_max: int, wait: bool
    ) -> list[bytes] | None:
        entries = self.disk.size(files.index) // ENTRY_BYTES - 1
        found = self._find(key, files.index, entries, first, wait)
        if found is None:
            return None
        lines: list[bytes] = []
        at, room = found, bytes_max
        while at < entries and len(lines) < count and (room > 0 or not lines):
            data = self._bytes(
                files.index, PAGE_ENTRIES * ENTRY_BYTES, (at + 1) * ENTRY_BYTES, wait
            )
            if data is None:
                return None
            page = self._whole_runs(key, data)
            wanted = _runs_for(page, first + len(lines), count - len(lines), room)
            got = self._lines(key, files.events, wanted, wait)
            if got is None:
                return None
            skip = first + len(lines) - wanted[0].first if wanted else 0
            for line in got[skip : skip + count - len(lines)]:
                room -= len(line)
                if room < 0 and lines:
                    return lines
                lines.append(line)
            if not wanted or wanted[-1].flags & runs.CLOSED:
                break
            at += len(wanted)
        return lines

    def _lines(self, key: str, fd: int, wanted: list[Run], wait: bool) -> list[bytes] | None:
        wanted = [run for run in wanted if run.events]
        if not wanted:
            return []
        start = wanted[0].offset
        data = self._bytes(fd, wanted[-1].end - start, start, wait)
        if data is None:
            return None
        for run in wanted:
            piece = data[run.offset - start : run.end - start] if len(wanted) > 1 else data
            if not run.holds(piece):
                raise self.corrupt(key, f"events {run.first} to {run.last} fail their checksum")
        lines = data.split(b"\n")
        lines.pop()
        if len(lines) != wanted[-1].last - wanted[0].first + 1:
            raise self.corrupt(key, f"events from {wanted[0].first} on are not one a line")
        return lines

    def _whole_runs(self, key: str, data: bytes) -> list[Run]:
        page: list[Run] = []
        for run in runs.decode_runs(data):
            if run is None or (page and run.first != page[-1].last + 1):
                raise self.corrupt(key, "an index entry is damaged")
            page.append(run)
        return page

    def _find(self, key: str, fd: int, entries: int, first: int, wait: bool) -> int | None:
        """Number of the entry whose run holds `first`; `entries` if none does.

        Interpolates, since runs tend to hold as many events each, and halves when that fails to
        get close: at most 2 log2(entries) small reads, usually two.
        """
        low, high = 0, entries
        low_first, high_first = 1, None
        guesses = 0
        while high - low > 1:
            middle = (low + high) // 2
            if high_first is not None and guesses % 2 == 0:
                share = (first - low_first) / max(high_first - low_first, 1)
                middle = min(max(low + int(share * (high - low)), low + 1), high - 1)
            guesses += 1
            data = self._bytes(fd, ENTRY_BYTES, (middle + 1) * ENTRY_BYTES, wait)
            if data is None:
                return None
            run = runs.decode_run(data)
            if run is None:
                raise self.corrupt(key, f"index entry {middle} is damaged")
            if run.first <= first:
                low, low_first = middle, run.first
                if first <= run.last:
                    break
            else:
                high, high_first = middle, run.first
        return low

    def _bytes(self, fd: int, count: int, offset: int, wait: bool) -> bytes | None:
        if wait:
            return self.disk.read(fd, count, offset)
        return self.disk.read_nowait(fd, count, offset)

    # --- descriptors ---

    @contextmanager
    def _lease(self, key: str) -> Iterator[_Open | None]:
        files = self._take(key)
        try:
            yield files
        finally:
            if files is not None:
                self._return(files)

    def _take(self, key: str) -> _Open | None:
        if key in self.damaged:
            raise self.corrupt(key, self.damaged[key])
        with self._lock:
            files = self._open.get(key)
            if files is not None:
                self._open.move_to_end(key)
                files.users += 1
                return files
        folder = self.folder(key)
        try:
            events = self.disk.open_read(folder / EVENTS_FILE)
        except FileNotFoundError:
            return None
        try:
            index = self.disk.open_read(folder / INDEX_FILE)
        except FileNotFoundError:
            self.disk.close(events)
            raise self.corrupt(key, "the index is missing") from None
        files = _Open(events, index)
        files.users = 1
        with self._lock:
            self._insert(key, files)
        return files

    def _insert(self, key: str, files: _Open) -> None:
        older = self._open.pop(key, None)
        if older is not None:
            self._retire(older)
        self._open[key] = files
        if len(self._open) > self._open_max:
            _, oldest = self._open.popitem(last=False)
            self._retire(oldest)

    def _retire(self, files: _Open) -> None:
        files.stale = True
        if files.users == 0:
            self._close(files)

    def _return(self, files: _Open) -> None:
        with self._lock:
            files.users -= 1
            if files.stale and files.users == 0:
                self._close(files)

    def _close(self, files: _Open) -> None:
        self.disk.close(files.events)
        self.disk.close(files.index)

    def forget(self, key: str) -> None:
        """Close what is open of a stream: its files were replaced."""
        with self._lock:
            files = self._open.pop(key, None)
            if files is not None:
                self._retire(files)

    @property
    def open_files(self) -> int:
        return 2 * len(self._open)

    def close(self) -> None:
        with self._lock:
            for files in self._open.values():
                self._retire(files)
            self._open.clear()


def _runs_for(page: list[Run], first: int, count: int, room: int) -> list[Run]:
    """The runs of a page that a read from `first` on needs, one at least."""
    wanted: list[Run] = []
    for run in page:
        if run.last < first and run.events:
            continue
        if wanted and (room <= 0 or wanted[-1].last >= first + count - 1):
            break
        wanted.append(run)
        room -= run.length
    return wanted
