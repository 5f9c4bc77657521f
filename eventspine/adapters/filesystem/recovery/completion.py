"""After a start: the stream files are completed from the log, and what fails for good is set aside.

Job: bring the files of every stream the log names to where the log ends, and make them durable, so
that a checkpoint may say so and the log may go. A file that fails with EIO costs its stream, and
no other.
Rules:
- This is the only place where a stream is set aside for a failing file, for only here everything
  of it that is not durable yet is in memory: the whole log behind the checkpoint. At run time a
  failed write or sync ends the store; the supervisor opens it again, and that comes here.
- One error proves nothing. What failed is not believed any more (a failed sync has marked pages
  clean that are on no disk): it is mended, written again from the log and synced, by itself. What
  fails a second time is set aside: its events of the log go to quarantine/, durably, then its
  refusal, and only then a checkpoint.
- A disk on which no new file can be written and synced either is no stream's fault: then the store
  stays closed, and nobody is set aside.
- syncfs(2) does not say whose file it was: after it failed every stream is written again and
  synced by itself. If none fails then, it was somebody else's, and might be again: no more syncfs
  until the next start.
- An error of the log, the checkpoint, the quarantine or a folder above the streams is everybody's.
Refused: setting aside at run time (earlier flushes are in the log and the page cache only);
remembering failures from one opening to the next (a new process would have to be told).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eventspine.adapters.filesystem.disk import NO_SPACE
from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.adapters.filesystem.streams.backlog import Generation, Unflushed
from eventspine.adapters.filesystem.streams.flusher import Flusher
from eventspine.adapters.filesystem.streams.stream_files import StreamFiles
from eventspine.adapters.filesystem.streams.stream_folders import FILE_FAILURES, FoldersFailed

log = logging.getLogger(__name__)


class Completion:
    """Completes files once, before anybody else writes to them.

    Args:
        mend: brings the files of a stream to where the log can take over.
    """

    def __init__(
        self,
        files: StreamFiles,
        quarantine: Quarantine,
        flusher: Flusher,
        mend: Callable[[str, Unflushed], None],
    ) -> None:
        self._files = files
        self._quarantine = quarantine
        self._flusher = flusher
        self._mend = mend
        self._unsure: set[str] = set()  # nothing may be built on the files of these

    def run(self, parts: Generation) -> bool:
        """False when the disk is full: the files are mended then, and what they lack can wait."""
        try:
            self._complete(parts)
        except OSError as error:
            if error.errno not in NO_SPACE or self._unsure:
                raise
            return False
        return True

    def _complete(self, parts: Generation) -> None:
        failing = self._round(parts)
        if not failing:
            return
        self._files.sync_one_by_one()
        again = {key: parts[key] for key in failing}
        failing = self._round(again)
        if failing:
            self._quarantine.try_disk()
        for key, found in failing.items():
            self._flusher.set_aside(key, again[key], found)
        if failing:
            self._files.sync_as_a_whole()  # whose errors those were is known

    def _round(self, parts: Generation) -> dict[str, str]:
        """Mend, append and sync these. Answers whose files failed, and what was found."""
        failing: dict[str, str] = {}
        self._unsure.update(parts)
        for key, part in parts.items():
            with self._noted(key, failing):
                self._mend(key, part)
        for key, part in parts.items():
            if key not in failing:
                with self._noted(key, failing):
                    self._flusher.append(key, part)
        self._sync([key for key in parts if key not in failing], failing)
        return failing

    def _sync(self, keys: list[str], failing: dict[str, str]) -> None:
        self._unsure.update(keys)  # a failed sync is final, whatever it failed of
        if self._files.syncs_as_a_whole:
            try:
                self._files.sync()
            except OSError as error:
                if error.errno not in FILE_FAILURES:
                    raise
                log.warning("syncing %s: %s", self._files.root, error)
                failing.update(dict.fromkeys(keys, f"cannot be synced: {error.strerror}"))
        else:
            for key in keys:
                with self._noted(key, failing):
                    self._files.sync_stream(key)
            self._files.sync()  # the folders above
        self._unsure.difference_update(key for key in keys if key not in failing)

    @contextmanager
    def _noted(self, key: str, failing: dict[str, str]) -> Iterator[None]:
        """A stream's own failure goes into `failing`, and the stream is left alone."""
        try:
            yield
        except FoldersFailed:
            raise
        except OSError as error:
            if error.errno not in FILE_FAILURES:
                raise
            log.warning("%s: %s", key, error)
            failing[key] = f"its files failed: {error.strerror}"
            self._unsure.add(key)
            self._files.let_go(key)
        else:
            self._unsure.discard(key)
