"""The flusher: writes what the commit log holds into the stream files, in bulk, behind the writer.

Job: every `flush_interval_s` take the backlog, append it to the files, let go of it; when the log
has gone on to another segment, make the files durable, write a checkpoint, drop the segments.
Rules: a file that contradicts the log is damaged and left alone, its stream refuses; the others go
on. A full disk is waited out: the events are safe in the log. A failed sync is final: the page
cache may have lied, so the store has to be opened anew, which writes the files again from the log,
and sets aside the stream whose files go on failing (completion.py).
It works at most a tenth of the time: the files are less than a second behind the appends as long as
that is enough for them, and up to five seconds plus a flush where thousands of streams are busy. It
does not rest while the log has half the segments it may have, or much has come into it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from eventspine.adapters.filesystem.blobs.files import BlobFiles
from eventspine.adapters.filesystem.disk import NO_SPACE, Disk
from eventspine.adapters.filesystem.log.commit_log import CommitLog
from eventspine.adapters.filesystem.log.seal import CHECKPOINT_FILE, Seal, encode_seal
from eventspine.adapters.filesystem.quarantine import Quarantine, Refused
from eventspine.adapters.filesystem.streams.backlog import Backlog, Generation, Unflushed
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.threads import THREADS, Threads

log = logging.getLogger(__name__)
RETRY_S = 1.0
REST = 9.0
REST_S_MAX = 5.0
TOGETHER = 32  # streams written in one go: less than a millisecond of the interpreter


class Flusher:
    """Owns the thread that appends to stream files. Start it once; `close` flushes everything."""

    def __init__(
        self,
        backlog: Backlog,
        files: StreamFiles,
        blobs: BlobFiles,
        commit_log: CommitLog,
        quarantine: Quarantine,
        disk: Disk,
        interval_s: float,
        threads: Threads = THREADS,
    ) -> None:
        self.failure: BaseException | None = None
        self.full = False
        self.flushes = self.checkpoints = 0
        self._backlog = backlog
        self._files = files
        self.blobs = blobs
        self._log = commit_log
        self._quarantine = quarantine
        self._disk = disk
        self._interval_s = interval_s
        self._flushed = backlog.start
        self._taken_bytes = commit_log.bytes
        self._now = threads.now
        self._stop = threads.event()
        self._closing = self._hurried = self._pressed = False
        self._progress = threads.condition()
        self._thread = threads.thread(self._run, "flusher")

    def start(self) -> None:
        self._thread.start()

    def wait_for_room(self, segments_max: int, timeout_s: float) -> bool:
        """Called by the writer when the log is long: wait for a checkpoint. False: none came."""
        with self._progress:
            return self._progress.wait_for(
                lambda: self._log.segments <= segments_max or self.full or self.failure is not None,
                timeout_s,
            ) and not (self.full or self.failure)

    def _run(self) -> None:
        try:
            rest_s = self._interval_s
            while self._rest(rest_s):
                began = self._now()
                self.flush()
                if self._log.segments > 1 and not self.full:
                    spread = self._now()
                    self._files.write_back(self._pause)
                    began += self._now() - spread  # that is no work
                    self.checkpoint()
                if not self.full:
                    self._log.prepare()
                took_s = self._now() - began
                rest_s = max(self._interval_s, min(REST * took_s, REST_S_MAX))
        except BaseException as error:
            log.exception("the flusher failed")
            self.failure = error
        with self._progress:
            self._progress.notify_all()

    @property
    def unflushed_bytes(self) -> int:
        """About how much has come into the log since the last flush began."""
        return self._log.bytes - self._taken_bytes

    def hurry(self, *, pressing: bool = False) -> None:
        """The log grows long: begin again without a rest. Called by the writer.

        Args:
            pressing: it is about to be full, so do not spread out the next checkpoint either.
        """
        if not self._hurried or (pressing and not self._pressed):
            with self._progress:
                self._hurried = True
                self._pressed = self._pressed or pressing
                self._progress.notify_all()

    def _rest(self, rest_s: float) -> bool:
        """Wait for the next flush. False: there is none, it is the end."""
        with self._progress:
            self._progress.wait_for(lambda: self._hurried or self._closing, rest_s)
            self._hurried = self._pressed = False
            return not self._closing

    def _pause(self, pause_s: float) -> bool:
        """False: there is no time for it."""
        with self._progress:
            return not self._progress.wait_for(lambda: self._pressed or self._closing, pause_s)

    def flush(self) -> Seal:
        """Write the backlog as it is now; waits out a full disk, unless it is told to stop.

        Answers how far the log is in the files.
        """
        self._taken_bytes = self._log.bytes
        generation, at = self._backlog.take()
        self.blobs.logged.take()  # what has come in between is behind `at`, and no matter
        while not self._append_all(generation):
            self.full = True
            with self._progress:
                self._progress.notify_all()
            if self._stop.wait(RETRY_S):
                return self._flushed  # the log keeps the rest, and so does the backlog, for reads
        self.full = False
        self._flushed = at
        self._backlog.flushed()
        self.flushes += 1
        return at

    def recover(self, complete: Callable[[Generation], bool]) -> None:
        """Complete the files on open. On a full disk the backlog stays, for the thread to go on.

        Args:
            complete: does it; False when the disk is full.
        """
        generation, at = self._backlog.take()
        self.blobs.logged.take()
        if complete(generation):
            self._backlog.flushed()
            self._flushed = at
            self.checkpoint()
        else:
            self.full = True
            self._backlog.put_back()
            self.blobs.logged.put_back()

    def _append_all(self, generation: Generation) -> bool:
        """False when the disk is full."""
        parts = list(generation.items())
        try:
            for at in range(0, len(parts), TOGETHER):
                self._append_together(parts[at : at + TOGETHER])
            self.blobs.write()
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            return False
        return True

    def _append_together(self, parts: list[tuple[str, Unflushed]]) -> None:
        """Those that begin or just go on with few hand-overs, the others one by one."""
        self._files.begin_many(parts)
        together = []
        for key, part in parts:
            if self._files.goes_on(key, part):
                together.append((key, part))
            else:
                self.append(key, part)
        for key, part in self._files.append_many(together):
            self.append(key, part)

    def append(self, key: str, part: Unflushed) -> None:
        """Write a part of the backlog; of a stream whose files are damaged it is set aside."""
        if key not in self._files.damaged:
            try:
                self._files.append(key, part)
                return
            except StoreCorrupt as error:
                log.error("%s", error)  # noqa: TRY400 - it says what, where and what to do
                self._files.damaged[key] = str(error.found)
        self.set_aside(key, part, self._files.damaged[key])

    def set_aside(self, key: str, part: Unflushed, found: str) -> None:
        """Have a stream refuse. Durably, for the log will be dropped: its events first."""
        self._files.damaged[key] = found
        kept: tuple[str, ...] = ()
        if part.lines:
            lines = b"\n".join(part.lines) + b"\n"
            kept = (self._quarantine.keep(self._files.events_path(key), lines).name,)
        self._quarantine.refuse(
            Refused(key, found, part.next - 1, part.epoch, part.mode, part.closed, kept)
        )

    def checkpoint(self) -> None:
        """Make the files durable as of the last flush, say so, and drop the log behind it."""
        at = self._flushed
        self.blobs.sync()
        self._files.sync()  # out of space in here is a failed sync, and final
        try:
            self._disk.replace_file(self._log.folder / CHECKPOINT_FILE, encode_seal(at))
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            self.full = True  # the log stays as long as it is; the next checkpoint tries again
            return
        with self._progress:
            self._log.drop_through(at.lsn)
            self.checkpoints += 1
            self._progress.notify_all()

    def close(self) -> None:
        """Complete the files, unless something failed: then the log has to be read again."""
        self._stop.set()
        with self._progress:
            self._closing = True
            self._progress.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        if self.failure is None and not self.full:
            self._flushed = self.flush()
            if not self.full:
                self.checkpoint()
