"""Which sequence may hold an event id: exact for ever, in little memory.

The ids of the newest events are in memory as fingerprints; older ones lie in sorted files, a
handful even for billions (id_levels.py). A look-up is a binary search per file; whoever asks reads
the events it names, so a fingerprint shared by chance costs one read and never an answer. Ids the
product made carry their own sequence and are left out. Putting ids away runs on a thread of the
store, from durable events only; its result is taken over by the next call on the loop.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import NamedTuple

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.streams.id_levels import (
    SEQUENCE_BITS,
    Level,
    fingerprint,
    level_path,
    read_level,
    write_level,
)
from eventspine.contracts.event_id import sequence_in
from eventspine.contracts.stores import EventIds

log = logging.getLogger(__name__)
RECENT_MAX = 512
FAN_OUT = 16
LEVELS_MAX = 8


def is_indexed(event_id: str, sequence: int) -> bool:
    """Whether the index has to know this id: all but those that say their own sequence."""
    return sequence_in(event_id) != sequence


class _PutAway(NamedTuple):
    """Level `n` now covers everything from its first sequence to `through`."""

    n: int
    level: Level
    through: int


class FilesystemEventIds(EventIds):
    """The ids of one stream while its actor is active. Called on the loop's thread only.

    Args:
        levels: the level files there are, by number.
        covered: the sequence up to which they are complete.
        executor: one thread that puts ids away.
    """

    def __init__(
        self,
        folder: Path,
        epoch: int,
        levels: Sequence[Level | None],
        covered: int,
        disk: Disk,
        executor: Executor,
        name: str = "events",
    ) -> None:
        self.covered = covered
        self._folder = folder
        self._name = name
        self._epoch = epoch
        self._levels = list(levels)
        self._disk = disk
        self._executor = executor
        self._recent: dict[int, list[int]] = {}
        self._count = 0
        self._put_away_at = 2 * RECENT_MAX
        self._job: Future[_PutAway] | None = None

    def candidates(self, event_id: str) -> Sequence[int]:
        mark = fingerprint(event_id)
        found = list(self._recent.get(mark, ()))
        low, high = mark << SEQUENCE_BITS, (mark + 1) << SEQUENCE_BITS
        for level in self._levels:
            if level is not None:
                found.extend(level.find(low, high))
        found.sort(reverse=True)
        return found

    def add(self, event_id: str, sequence: int) -> None:
        if is_indexed(event_id, sequence):
            self._recent.setdefault(fingerprint(event_id), []).append(sequence)
            self._count += 1

    def committed(self, sequence: int) -> None:
        if self._job is not None:
            if self._job.done():
                self._take_over(self._job)
        elif self._count > self._put_away_at:
            words = array("Q", sorted(self._words(sequence)))
            self._job = self._executor.submit(
                _put_away, self._folder, self._epoch, tuple(self._levels),
                self.covered + 1, sequence, words, self._disk, self._name,
            )  # fmt: skip

    def _words(self, through: int) -> list[int]:
        return [
            mark << SEQUENCE_BITS | sequence
            for mark, sequences in self._recent.items()
            for sequence in sequences
            if sequence <= through
        ]

    def _take_over(self, job: Future[_PutAway]) -> None:
        self._job = None
        try:
            done = job.result()
        except FileNotFoundError:  # the flusher has not made the stream's folder yet
            self._put_away_at = self._count + RECENT_MAX
            return
        except OSError:  # this runs while appends are answered: they are durable all the same
            log.exception("%s: event ids stay in memory", self._folder)
            self._put_away_at = 2 * self._count
            return
        self._put_away_at = 2 * RECENT_MAX
        for n in range(done.n + 1):
            level, self._levels[n] = self._levels[n], None
            if level is not None:
                level.close()
        self._levels[done.n] = done.level
        self.covered = done.through
        self._recent = {
            mark: left
            for mark, sequences in self._recent.items()
            if (left := [sequence for sequence in sequences if sequence > done.through])
        }
        self._count = sum(map(len, self._recent.values()))

    def close(self) -> None:
        if self._job is None:
            for level in self._levels:
                if level is not None:
                    level.close()
        self._levels, self._recent, self._job = [], {}, None


def _put_away(
    folder: Path,
    epoch: int,
    levels: Sequence[Level | None],
    first: int,
    through: int,
    words: array[int],
    disk: Disk,
    name: str,
) -> _PutAway:
    """Merge words into the lowest level that can take them and all below it."""
    n = 0
    newer: Sequence[int] = words
    while True:
        level = levels[n]
        older: Sequence[int] = level.words if level is not None else ()
        first = min(first, level.first) if level is not None else first
        fits = len(older) + len(newer) <= RECENT_MAX * FAN_OUT ** (n + 1)
        if fits or n == LEVELS_MAX - 1:
            break
        newer = sorted([*older, *newer])  # of a level below the one that takes it: small
        n += 1
    merged = write_level(level_path(folder, n, name), epoch, first, through, older, newer, disk)
    for lower in range(n):
        path = level_path(folder, lower, name)
        if levels[lower] is not None and disk.exists(path):
            disk.unlink(path)  # it may be gone: a former owner's job ran late
    return _PutAway(n, merged, through)


def open_ids(
    folder: Path, epoch: int, disk: Disk, executor: Executor, name: str = "events"
) -> FilesystemEventIds:
    """The index as far as its files go; the caller adds the ids of the events after `covered`.

    Args:
        name: what the names of its files begin with.
    """
    levels = [read_level(level_path(folder, n, name), epoch, disk) for n in range(LEVELS_MAX)]
    covered = 0
    for level in sorted((level for level in levels if level), key=lambda level: level.first):
        if level.first > covered + 1:
            break
        covered = max(covered, level.last)
    return FilesystemEventIds(folder, epoch, levels, covered, disk, executor, name)
