"""Event streams on the filesystem: a commit log that acknowledges, files that people can read.

    {root}/commit_log/…                                       where an event is when it is acked
    {root}/event_stream/{tenant}/{env}/{surface}/{stream}/
        events.jsonl                                          one event a line (PATH-01)
        events.idx                                            which bytes hold which events
        events.ids.N                                          clients' ids of old events
    {root}/quarantine/…                                       bytes that failed their check

Job: tie the log, the backlog, the flusher and the files together; recover on open. What comes into
the log of blobs goes to blobs/.
Source: DESIGN decisions 5, 7, 8. The parts say how; docs/FORMATS.md says every byte.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar, TypeVarTuple

import anyio

from eventspine.adapters.filesystem.blobs.files import BlobFiles
from eventspine.adapters.filesystem.blobs.logged import LoggedBlobs
from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.log.commit_log import LOG_FOLDER, CommitLog
from eventspine.adapters.filesystem.log.express import LogExpress, device_of
from eventspine.adapters.filesystem.log.log_scan import LogScan, continue_log
from eventspine.adapters.filesystem.log.seal import Seal
from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.adapters.filesystem.recovery.blobs import complete_blobs
from eventspine.adapters.filesystem.recovery.completion import Completion
from eventspine.adapters.filesystem.recovery.copies import FileCopies, put_aside, refuse_lost
from eventspine.adapters.filesystem.recovery.mend import mend_tail
from eventspine.adapters.filesystem.streams.backlog import Backlog, Unflushed
from eventspine.adapters.filesystem.streams.flusher import Flusher
from eventspine.adapters.filesystem.streams.ids import open_ids
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.adapters.filesystem.streams.stream_keys import stored_keys
from eventspine.contracts.errors import StoreCorrupt, StoreFull
from eventspine.contracts.express import Device
from eventspine.contracts.settings import StorageSettings
from eventspine.contracts.stores import (
    EventIds,
    EventStreamStore,
    StoreStatistics,
    StreamCommit,
    StreamHead,
)
from eventspine.contracts.threads import THREADS, Threads
from eventspine.contracts.wire import event_id_of

log = logging.getLogger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
READ_THREADS = 4
HEAD_TRIES = 3
ROOM_WAIT_S = 30.0
SCAN_EVENTS = 1024
SCAN_BYTES = 1024 * 1024


class Recovery(NamedTuple):
    """What opening a root found and did."""

    records: int = 0
    streams: int = 0
    mended: tuple[str, ...] = ()
    torn_bytes: int = 0
    salvaged: tuple[str, ...] = ()


class FilesystemEventStreamStore(EventStreamStore):
    """One root. Made by `open`, which recovers; ended by `close`, which completes the files."""

    def __init__(
        self,
        files: StreamFiles,
        commit_log: CommitLog,
        backlog: Backlog,
        flusher: Flusher,
        settings: StorageSettings,
        recovery: Recovery,
        threads: Threads = THREADS,
        device: Device | None = None,
    ) -> None:
        self.recovery = recovery
        self._files = files
        self._log = commit_log
        self._backlog = backlog
        self.flusher = flusher
        self._segments_max = settings.log_segments_max
        self._unflushed_bytes_max = settings.unflushed_bytes_max
        self._threads = threads
        self._putting_away = threads.executor("event ids")
        self._events = 0
        self.express: LogExpress | None = None
        if device is not None:
            self.express = LogExpress(device, commit_log, self._may_grow, self._durable)
        self._readers: anyio.CapacityLimiter | None = None

    @classmethod
    def open(
        cls,
        root: Path,
        settings: StorageSettings | None = None,
        disk: Disk | None = None,
        *,
        start_flusher: bool = True,
        threads: Threads = THREADS,
        express: bool = False,
        blobs: LoggedBlobs | None = None,
    ) -> FilesystemEventStreamStore:
        """Open a root whose lock the caller holds. Blocks; raises StoreCorrupt or OSError.

        Args:
            start_flusher: False leaves flushing to whoever calls `flusher` by hand.
            threads: where the flusher, reads and the putting away of ids run.
            express: whether small batches may go past `commit` where that is possible.
            blobs: where the blob store of the same root looks for what the log has of blobs.
        """
        settings, disk = settings or StorageSettings(), disk or Disk()
        folder = root / LOG_FOLDER
        disk.make_directories(folder)
        disk.sync_directory(root)  # always: a process killed here before may not have come to it
        quarantine = Quarantine(root, disk)
        with ExitStack() as undo:
            files = StreamFiles(root, disk, settings.open_files_max, settings.sync_files_max)
            undo.callback(files.close)
            scan = LogScan(folder, disk, quarantine, FileCopies(files))
            files.damaged.update({key: one.found for key, one in quarantine.refused().items()})
            logged = LoggedBlobs(threads) if blobs is None else blobs
            logged.begin_again()
            blob_files = BlobFiles(root, disk, logged, files.sync_whole)
            backlog = _backlog_of(scan, files, quarantine, logged)
            refuse_lost(scan, quarantine)
            commit_log = continue_log(scan, disk, settings.log_segment_bytes)
            undo.callback(commit_log.close)
            flusher = Flusher(
                backlog,
                files,
                blob_files,
                commit_log,
                quarantine,
                disk,
                settings.flush_interval_s,
                threads,
            )
            recovery = _recover(scan, backlog, files, blob_files, quarantine, flusher)
            files.damaged.update({key: one.found for key, one in scan.lost.items()})
            if commit_log.segments and not flusher.full:
                commit_log.drop_all()
            logged.begun()
            undo.pop_all()
        if scan.records:
            log.info("%s: recovered %s", root, recovery)
        if start_flusher:
            flusher.start()
        device = device_of(disk, threads) if express else None
        return cls(files, commit_log, backlog, flusher, settings, recovery, threads, device)

    def close(self) -> None:
        """Flush, checkpoint, and leave nothing but the files behind."""
        if self.express is not None:
            self.express.device.close()
        try:
            self.flusher.close()
            if self.flusher.failure is None and not self.flusher.full:
                self._log.drop_all()
        finally:
            self._putting_away.shutdown(wait=True)
            self._log.close()
            self._files.close()

    # --- writing: the writer's thread ---

    def commit(self, batch: Sequence[StreamCommit]) -> None:
        if not self._may_grow():
            if self.flusher.failure is not None:
                raise OSError("the stream files could not be written") from self.flusher.failure
            self._wait_for_room()
        self._log.append(batch)
        self._durable(batch)

    def _may_grow(self) -> bool:
        """Whether the log has room without waiting; has the flusher hurry when it gets scarce."""
        if self.flusher.failure is not None:
            return False
        if self._log.segments > self._segments_max // 2:
            self.flusher.hurry(pressing=self._log.segments >= self._segments_max)
        elif self.flusher.unflushed_bytes > self._unflushed_bytes_max:
            self.flusher.hurry()
        return self._log.segments <= self._segments_max

    def _durable(self, batch: Sequence[StreamCommit]) -> None:
        self._backlog.add(batch, self._log.seal)
        self._events += sum([len(commit.lines) for commit in batch])

    def _wait_for_room(self) -> None:
        """The log is as long as it may be: the writer waits for the flusher, or refuses."""
        if not self.flusher.wait_for_room(self._segments_max, ROOM_WAIT_S):
            if self.flusher.failure is not None:
                raise OSError("the stream files could not be written") from self.flusher.failure
            raise StoreFull("the log is full and cannot be flushed", retry_after_s=5)

    # --- reading: any thread ---

    async def head(self, key: str) -> StreamHead:
        parts = self._backlog.parts(key)
        if parts:
            self._files.check(key)
            return parts[-1].head()
        return await self._on_thread(self._head, key)

    def _head(self, key: str) -> StreamHead:
        for _ in range(HEAD_TRIES - 1):
            try:
                return self._head_now(key)
            except StoreCorrupt:
                continue  # or a flush began since the look at the backlog, and was seen half way
        return self._head_now(key)

    def _head_now(self, key: str) -> StreamHead:
        parts = self._backlog.parts(key)
        if parts:
            return parts[-1].head()
        try:
            state = self._files.load(key)
        except OSError as error:
            raise self._files.failed(key, error) from error
        return state.head() if state is not None else StreamHead()

    async def read(self, key: str, first: int, count: int, bytes_max: int) -> Sequence[bytes]:
        lines = self.read_nowait(key, first, count, bytes_max)
        if lines is not None:
            return lines
        return await self._on_thread(self._read, key, first, count, bytes_max)

    def _read(self, key: str, first: int, count: int, bytes_max: int) -> Sequence[bytes]:
        lines = self._lines(key, first, count, bytes_max, wait=True)
        return lines if lines is not None else []

    def read_nowait(
        self, key: str, first: int, count: int, bytes_max: int
    ) -> Sequence[bytes] | None:
        return self._lines(key, first, count, bytes_max, wait=False)

    def _lines(
        self, key: str, first: int, count: int, bytes_max: int, *, wait: bool
    ) -> Sequence[bytes] | None:
        """From the files as far as they go, the rest from the backlog."""
        parts = self._backlog.parts(key)
        wiped = [n for n, part in enumerate(parts) if part.wipe]
        parts = parts[wiped[-1] :] if wiped else parts
        lines: list[bytes] = []
        in_files = parts[0].first - first if parts else count
        if in_files > 0 and not wiped:
            try:
                got = self._files.reader.read(
                    key, first, min(count, in_files), bytes_max, wait=wait
                )
            except OSError as error:
                raise self._files.failed(key, error) from error
            if got is None or len(got) < min(count, in_files):
                return got
            if not parts or len(got) == count:
                return got
            lines = list(got)
        room = bytes_max - sum(map(len, lines))
        for part in parts:
            if room <= 0 and lines:
                break
            room = _take(part, first, count, room, lines)
        return lines

    async def _on_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Wait for the disk on a thread: on one of a few, since more only wait for each other."""
        if self._readers is None:
            self._readers = anyio.CapacityLimiter(READ_THREADS)
        return await self._threads.run_sync(work, *args, limiter=self._readers)

    async def ids(self, key: str) -> EventIds:
        head = await self.head(key)
        folder, name = self._files.folder(key), self._files.events_path(key).stem
        try:
            index = await self._on_thread(
                open_ids, folder, head.epoch, self._files.disk, self._putting_away, name
            )
        except OSError as error:
            raise self._files.failed(key, error) from error
        at = index.covered
        while at < head.sequence:
            lines = await self.read(key, at + 1, SCAN_EVENTS, SCAN_BYTES)
            if not lines:
                raise self._files.corrupt(key, f"event {at + 1} cannot be read")
            for n, line in enumerate(lines, at + 1):
                index.add(event_id_of(line), n)
            at += len(lines)
            index.committed(at)
        return index

    async def keys(self, prefix: str) -> list[str]:
        return await self._on_thread(self._keys, prefix)

    def _keys(self, prefix: str) -> list[str]:
        unflushed = [key for key in self._backlog.unflushed_keys() if key.startswith(prefix)]
        return sorted({*unflushed, *stored_keys(self._files, self._files.disk, prefix)})

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            self._log.syncs,
            self._events,
            self._log.bytes,
            {
                "log_segments": self._log.segments,
                "spare_segments_failed": self._log.spares_failed,
                "open_files": 2 * len(self._files.reader.open),
                "damaged_streams": len(self._files.damaged.keys() | self._files.unreadable),
                "unflushed_streams": len(self._backlog),
                "unflushed_blobs": len(self.flusher.blobs.logged),
                "flushes": self.flusher.flushes,
                "checkpoints": self.flusher.checkpoints,
                "disk_full": float(self.flusher.full),
                "recovered_records": self.recovery.records,
                "torn_bytes": self.recovery.torn_bytes,
            },
        )


def _take(part: Unflushed, first: int, count: int, room: int, lines: list[bytes]) -> int:
    """Add what a part of the backlog has of the wanted events; the room that is left."""
    start = first + len(lines) - part.first
    if start < 0:
        return room
    for line in part.lines[start : start + count - len(lines)]:
        room -= len(line)
        if room < 0 and lines:
            return 0
        lines.append(line)
    return room


def _backlog_of(
    scan: LogScan, files: StreamFiles, quarantine: Quarantine, blobs: LoggedBlobs
) -> Backlog:
    """Everything the log holds that the files may not hold; the scan has read it all then."""
    backlog = Backlog(scan.start, blobs.add)
    for lsn, commits in scan.commits():
        if lsn > scan.start.lsn:
            sound = put_aside(commits, scan, files, quarantine)
            backlog.add(sound, Seal(lsn, scan.chain))
    backlog.add([], Seal(scan.lsn, scan.chain))
    return backlog


def _recover(
    scan: LogScan,
    backlog: Backlog,
    files: StreamFiles,
    blobs: BlobFiles,
    quarantine: Quarantine,
    flusher: Flusher,
) -> Recovery:
    """Complete the files from the log; on a full disk that goes on behind the open store."""
    mended: dict[str, None] = {}

    def mend(key: str, part: Unflushed) -> None:
        if _mend(files, quarantine, key, part):
            mended[key] = None

    streams = len(backlog)
    completion = Completion(files, quarantine, flusher, mend)
    if scan.segments or scan.superseded:
        flusher.recover(lambda parts: completion.run(parts) and complete_blobs(blobs, quarantine))
    return Recovery(scan.records, streams, tuple(mended), scan.torn_bytes, tuple(scan.salvaged))


def _mend(files: StreamFiles, quarantine: Quarantine, key: str, part: Unflushed) -> bool:
    """Bring the files of a stream to where the log can take over. True if they were cut."""
    if key in files.damaged:
        return False
    files.distrust(key)
    try:
        return mend_tail(files, quarantine, key, part)
    except StoreCorrupt as error:
        log.error("%s", error)  # noqa: TRY400 - it says what, where and what to do
        files.damaged[key] = str(error.found)  # what the log has of it is set aside
        return False
