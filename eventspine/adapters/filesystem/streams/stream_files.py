"""The files of streams: `{root}/{key}/events.jsonl`, and `events.idx` beside it; or a journal's.

Job: append stretches of lines, in bulk; say where a stream stands; make files durable.
Rules: data is written before the index entry that names it, so what the index says is there. An
entry is believed only with its checksums. Files are appended by the flusher's thread alone;
reading them is stream_reader.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams import runs
from eventspine.adapters.filesystem.streams.backlog import Unflushed
from eventspine.adapters.filesystem.streams.open_streams import OpenStream
from eventspine.adapters.filesystem.streams.runs import ENTRY_BYTES, HEAD_BYTES, IndexHead, Run
from eventspine.adapters.filesystem.streams.stream_folders import (
    STREAMS,
    FoldersFailed,
    StreamFolders,
)
from eventspine.adapters.filesystem.streams.stream_reader import StreamReader
from eventspine.adapters.filesystem.streams.write_back import write_back
from eventspine.contracts.stores import StreamHead

STATES_MAX = 65_536


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


class StreamFiles(StreamFolders):
    """All stream files below one root."""

    def __init__(self, root: Path, disk: Disk, open_max: int, sync_files_max: int = 32) -> None:
        super().__init__(root)
        self.disk = disk
        self.reader = StreamReader(self, disk, open_max)
        self._states: OrderedDict[str, FileState] = OrderedDict()
        self._unfinished: dict[str, FileState] = {}  # their files say less than is written
        self._made: set[Path] = set()
        self._unsynced: dict[str, bool] = {}
        self._sync_files_max = sync_files_max
        self._filesystem = disk.open_filesystem(root)  # before anything is written below it

    # --- where a stream stands ---

    def load(self, key: str) -> FileState | None:
        """Where the files of a stream end; None when it has none.

        Raises:
            StoreCorrupt: the files do not agree with each other.
        """
        self.check(key)
        try:
            index = self.disk.open_read(self.index_path(key))
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
            fd = self.disk.open_read(self.events_path(key))
        except FileNotFoundError:
            return 0
        try:
            return self.disk.size(fd)
        finally:
            self.disk.close(fd)

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
        self._remember(key, state)
        self._unsynced.setdefault(key, False)
        self._unfinished[key] = state  # a write that failed is done over from here
        self._write(key, state, part)
        del self._unfinished[key]

    def begin_many(self, parts: Sequence[tuple[str, Unflushed]]) -> None:
        """Make the files of the streams that begin here, in one go; `append` makes the others."""
        new = [
            (key, part)
            for key, part in parts
            if part.first == 1
            and part.mode is not None
            and not (part.wipe or part.closed)
            and key.startswith(STREAMS)
            and key not in self._states
            and key not in self._unfinished
            and key not in self.damaged
        ]
        made = self.disk.begin_all(
            [
                (
                    self.folder(key),
                    self.events_path(key),
                    self.index_path(key),
                    runs.encode_head(IndexHead(part.epoch, part.mode)),
                )
                for key, part in new
            ]
        )
        opened = self.reader.open
        for (key, part), descriptors in zip(new, made, strict=True):
            if descriptors is not None:
                opened.give_back(opened.take_in(key, OpenStream(*descriptors)))
                self._made.add(self.folder(key).parent)
                self._unsynced[key] = True
                self._remember(key, FileState(part.epoch, part.mode))

    def goes_on(self, key: str, part: Unflushed) -> bool:
        """Whether a stretch is just more lines of a stream whose files are at hand."""
        state = self._states.get(key)
        return (
            state is not None
            and state.epoch == part.epoch
            and not (part.wipe or part.closed or state.closed)
            and state.mode is not None
            and part.first <= state.last + 1
            and key in self.reader.open
            and key not in self.damaged
        )

    def append_many(
        self, parts: Sequence[tuple[str, Unflushed]]
    ) -> Sequence[tuple[str, Unflushed]]:
        """`append` of stretches that just go on, with all of their writes in one go.

        After a failure none of them counts: they are done over, the same bytes in the same places.
        Answers those that are left to `append`, having been let go of for others.
        """
        left: list[tuple[str, Unflushed]] = []
        writes: list[tuple[int, bytes, int]] = []
        borrowed: list[OpenStream] = []
        new: list[tuple[str, FileState, list[Run]]] = []
        opened = self.reader.open
        try:
            for key, part in parts:
                state = self._states.get(key)
                files = opened.borrow_nowait(key) if state is not None else None
                if state is None or files is None:
                    left.append((key, part))
                    continue
                borrowed.append(files)
                lines = part.lines[state.last + 1 - part.first :]
                if not lines:
                    continue
                pieces, entries = runs.make_runs(lines, state.last + 1, state.end, state.chain)
                at = state.end
                for piece in pieces:
                    writes.append((files.events, piece, at))
                    at += len(piece)
                index = b"".join(map(runs.encode_run, entries))
                writes.append((files.index, index, HEAD_BYTES + state.entries * ENTRY_BYTES))
                self._remember(key, state)
                self._unsynced.setdefault(key, False)
                self._unfinished[key] = state
                new.append((key, state, entries))
            self.disk.write_all(writes)
        finally:
            for files in borrowed:
                opened.give_back(files)
        for key, state, entries in new:
            for run in entries:
                state.take(run)
            del self._unfinished[key]
        return left

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
        at = HEAD_BYTES + state.entries * ENTRY_BYTES
        opened = self.reader.open
        files = opened.borrow_nowait(key) or opened.take_in(key, self._open_to_write(key))
        try:
            if pieces:
                data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self.disk.write(files.events, data, state.end)
            self.disk.write(files.index, b"".join(map(runs.encode_run, entries)), at)
        finally:
            opened.give_back(files)
        for run in entries:
            state.take(run)
        if state.closed:
            self.write_head(key, IndexHead(state.epoch, state.mode, closed=True))

    def _open_to_write(self, key: str) -> OpenStream:
        events = self.disk.open(self.events_path(key), create=True)
        try:
            return OpenStream(events, self.disk.open(self.index_path(key)))
        except OSError:
            self.disk.close(events)
            raise

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
            if self.disk.exists(self.index_path(key)):
                self.disk.unlink(self.index_path(key))
            raise

    def write_head(self, key: str, head: IndexHead) -> None:
        self._write_at(self.index_path(key), runs.encode_head(head), 0)
        self._unsynced[key] = True

    def _make(self, key: str) -> None:
        """Make the folder of a stream; remember which directories have a new entry."""
        try:
            made = self.disk.make_directories(self.folder(key))
        except OSError as error:
            raise FoldersFailed(error.errno, error.strerror) from error
        self._made.update(folder.parent for folder in made)
        self._unsynced[key] = True

    def _wipe(self, key: str, epoch: int) -> None:
        """Delete the events of older epochs; leave an index head that remembers the epoch."""
        self._make(key)
        for path in self._wiped(key):
            self.disk.unlink(path)
        self.disk.replace_file(self.index_path(key), runs.encode_head(IndexHead(epoch, None)))
        self._states.pop(key, None)
        self._unfinished.pop(key, None)
        self.reader.open.forget(key)
        self._unsynced[key] = True

    def _wiped(self, key: str) -> list[Path]:
        """What goes when the events go: everything of the stream but its index."""
        folder, index = self.folder(key), self.index_path(key)
        if key.startswith(STREAMS):
            return [folder / name for name in self.disk.names(folder) if name != index.name]
        return [path for path in (self.events_path(key),) if self.disk.exists(path)]

    def _epoch(self, key: str) -> int:
        """The epoch that the index says, whatever else is wrong with the files; 0 for none."""
        state = self._states.get(key)
        if state is not None:
            return state.epoch
        head = runs.decode_head(self.disk.read_file(self.index_path(key)) or b"")
        return head.epoch if head is not None else 0

    def _known_state(self, key: str) -> FileState | None:
        state = self._states.get(key) or self._unfinished.get(key)
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
        self.let_go(key)
        self._unsynced[key] = True
        folder = self.folder(key)
        while folder != self.root:
            folder = folder.parent
            self._made.add(folder)

    def let_go(self, key: str) -> None:
        """Know nothing of a stream any more, and leave its files alone: they failed."""
        self._states.pop(key, None)
        self._unfinished.pop(key, None)
        self._unsynced.pop(key, None)
        self.reader.open.forget(key)

    # --- durability: the flusher's thread only ---

    def sync(self) -> int:
        """Make everything appended so far durable, names included. Answers how many streams."""
        unsynced, self._unsynced = self._unsynced, {}
        made, self._made = self._made, set()
        if self._filesystem is not None and len(unsynced) > self._sync_files_max:
            self.disk.sync_filesystem(self._filesystem)
            return len(unsynced)
        for key, renamed in unsynced.items():
            self._sync_stream(key, renamed)
        for folder in sorted(made, reverse=True):
            self.disk.sync_directory(folder)
        return len(unsynced)

    def sync_whole(self, others: int) -> bool:
        """As `sync`, of the whole file system, if that is worth it with so many `others` to sync.

        False: nothing was done.
        """
        if self._filesystem is None or len(self._unsynced) + others <= self._sync_files_max:
            return False
        self._unsynced, self._made = {}, set()
        self.disk.sync_filesystem(self._filesystem)
        return True

    def sync_stream(self, key: str) -> None:
        """Make one stream durable below its folder's name; `sync` does what is above it."""
        if key in self._unsynced:
            self._sync_stream(key, self._unsynced.pop(key))

    def _sync_stream(self, key: str, renamed: bool) -> None:
        for path in (self.events_path(key), self.index_path(key)):
            self._sync_file(path)
        if renamed:
            self.disk.sync_directory(self.folder(key))

    def write_back(self, pause: Callable[[float], bool]) -> None:
        """Spread out what `sync` would have to wait for, where that is a lot: write_back.py."""
        if self.syncs_as_a_whole:
            write_back(list(self._unsynced), self.reader.open, self.disk, pause)

    @property
    def syncs_as_a_whole(self) -> bool:
        """Whether `sync` would not look at single streams, so that an error says of none."""
        return self._filesystem is not None and len(self._unsynced) > self._sync_files_max

    def sync_one_by_one(self) -> None:
        """No syncfs from now on."""
        if self._filesystem is not None:
            self.disk.close(self._filesystem)
            self._filesystem = None

    def sync_as_a_whole(self) -> None:
        """syncfs again, where it can be trusted; it tells of errors from now on."""
        self._filesystem = self._filesystem or self.disk.open_filesystem(self.root)

    def close(self) -> None:
        self.reader.open.close()
        self.sync_one_by_one()

    def _sync_file(self, path: Path) -> None:
        try:
            fd = self.disk.open(path)
        except FileNotFoundError:
            return
        try:
            self.disk.sync_data(fd)
        finally:
            self.disk.close(fd)
