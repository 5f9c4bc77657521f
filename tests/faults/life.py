"""A scripted life of a store on a real disk, and beside it a ledger that survives its end.

Job: do the steps one after another; after a failure open the store again, as the supervisor does,
see what is there, and go on. Everything happens on one thread, so that the n-th call of a kind is
the same call each time: flushes and checkpoints are steps here, not a thread's.
Rules: the ledger is memory shared with whoever judges, so writing it is no system call. A step that
was begun and not answered may have happened or not; one that was refused (507) has not.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterable
from pathlib import Path

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.streams import flusher
from eventspine.contracts.errors import StoreFull
from tests.adapters.filesystem.machine import STREAMS, TINY, Model, Stream, applied

Step = tuple[str, ...]

SCRIPT: tuple[Step, ...] = (
    ("a1",),  # creates a stream, and the first segment
    ("a2", "b3"),
    ("flush",),
    ("a5", "c1"),  # the log rotates about here, and again every few steps
    ("flush",),
    ("checkpoint",),
    ("b4",),
    ("close-b", "a1"),
    ("b1", "a7"),
    ("crash",),  # what follows begins with a recovery
    ("a1",),
    ("flush",),
    ("delete-a", "c2"),
    ("a2",),
    ("checkpoint",),
    ("close",),  # a clean stop, and a start
    ("a3",),
    ("delete-c",),
    ("crash",),
    ("c2", "a3"),
    ("flush",),
    ("checkpoint",),
    ("a9",),
    ("close-a",),
    ("close",),
    ("c1",),
)
AFTERWARDS: tuple[Step, ...] = (("a2", "b1", "c1"), ("flush",), ("c3", "a1"), ("close",))
OPENINGS_MAX = 20
GAVE_UP = "it does not come back"

NOT_BEGUN, BEGUN, DONE = 0, 1, 2
_MESSAGE = 1024
_OUTAGES, _REFUSALS = 1022, 1023


class Ledger:
    """What each step came to; counts of failures met; what went wrong, if anything did."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8192)

    def __getitem__(self, step: int) -> int:
        return self._memory[step]

    def __setitem__(self, step: int, state: int) -> None:
        self._memory[step] = state

    def count_outage(self) -> None:
        self._memory[_OUTAGES] = min(self._memory[_OUTAGES] + 1, 255)

    def count_refusal(self) -> None:
        self._memory[_REFUSALS] = min(self._memory[_REFUSALS] + 1, 255)

    @property
    def outages(self) -> int:
        return self._memory[_OUTAGES]

    @property
    def refusals(self) -> int:
        return self._memory[_REFUSALS]

    def tell(self, message: str) -> None:
        data = message.encode()[:7000]
        self._memory[_MESSAGE : _MESSAGE + len(data)] = data

    @property
    def message(self) -> str:
        return self._memory[_MESSAGE:].rstrip(b"\0").decode(errors="replace")

    def progress(self) -> bytes:
        """Changes with every step; for a look from outside."""
        return self._memory[:_MESSAGE]

    def models(self, script: tuple[Step, ...]) -> list[Model]:
        """What may be stored: all that is done, and that with the step that was under way."""
        model: Model = {}
        for n, step in enumerate(script):
            if self[n] == BEGUN:
                return [model, applied(model, step)[0]] if is_commit(step) else [model]
            if self[n] == DONE and is_commit(step):
                model = applied(model, step)[0]
        return [model]

    @property
    def acknowledged(self) -> int:
        """Events, of all steps that are done."""
        return sum(
            int(word[1:])
            for n, step in enumerate(SCRIPT)
            if self[n] == DONE and is_commit(step)
            for word in step
            if word[1:].isdigit()
        )


def is_commit(step: Step) -> bool:
    return step[0] not in ("flush", "checkpoint", "close", "crash")


class Life:
    """One store on a root, opened again whenever it failed."""

    def __init__(self, root: Path, ledger: Ledger, script: tuple[Step, ...] = SCRIPT) -> None:
        flusher.RETRY_S = 0.01
        self._root = root
        self._ledger = ledger
        self._script = script
        self._openings = 0
        self.store: FilesystemEventStreamStore | None = None

    def run(self) -> None:
        """From the first step that the ledger does not call done."""
        try:
            for n, step in enumerate(self._script):
                while self._ledger[n] != DONE:
                    self._try(n, step)
        finally:
            if self.store is not None:
                abandon(self.store)

    def _try(self, n: int, step: Step) -> None:
        try:
            if self.store is None and not self._open(n):
                return  # it had happened
            self._ledger[n] = BEGUN
            self._do(step)
        except StoreFull:
            self._ledger[n] = NOT_BEGUN
            self._ledger.count_refusal()
            time.sleep(0.005)  # a client that waits, on a disk that is full
        except OSError as error:
            self._ledger.count_outage()
            self._let_go(error)
        else:
            self._ledger[n] = DONE

    def _do(self, step: Step) -> None:
        assert self.store is not None
        match step[0]:
            case "flush":
                self.store.flusher.flush()
            case "checkpoint":
                self.store.flusher.checkpoint()
            case "close":
                store, self.store = self.store, None
                store.close()
            case "crash":
                abandon(self.store)
                self.store = None
            case _:
                model = self._ledger.models(self._script)[0]
                batch = applied(model, step)[1]
                self.store.commit(batch)
                self._see(line for commit in batch for line in commit.lines)

    def _see(self, lines: Iterable[bytes]) -> None:
        """What was answered is in a file by now, whatever an error was taken for."""
        stored = b"".join(path.read_bytes() for path in self._root.rglob("*") if path.is_file())
        missing = [line[:60] for line in lines if line not in stored]
        assert not missing, f"acknowledged, and in no file: {missing}"

    def _let_go(self, error: OSError) -> None:
        """As the supervisor does: close what failed. The flusher's thread keeps its failure."""
        store, self.store = self.store, None
        if store is not None:
            store.flusher.failure = store.flusher.failure or error
            try:
                store.close()
            except OSError:
                self._ledger.count_outage()

    def _open(self, n: int) -> bool:
        """Open and look: all that was acknowledged has to be there. False: and step `n` too."""
        self._openings += 1
        assert self._openings < OPENINGS_MAX, GAVE_UP
        self.store = FilesystemEventStreamStore.open(self._root, TINY, Disk(), start_flusher=False)
        may = self._ledger.models(self._script)
        which = which_of(self.store, may)
        if self._ledger[n] == BEGUN:
            self._ledger[n] = DONE if which == 1 else NOT_BEGUN
        return self._ledger[n] != DONE


def which_of(store: FilesystemEventStreamStore, models: list[Model]) -> int:
    """Which of these the store holds, event by event. Raises AssertionError if none."""
    found = {key: found_in(store, key) for key in STREAMS}
    wanted = [{key: model.get(key, Stream()) for key in STREAMS} for model in models]
    assert found in wanted, f"found {summary(found)}, not {' or '.join(map(summary, wanted))}"
    return len(wanted) - 1 - wanted[::-1].index(found)


def found_in(store: FilesystemEventStreamStore, key: str) -> Stream:
    head = store._head(key)
    lines = store._read(key, 1, 10_000, 1 << 30)
    assert head.sequence == len(lines), f"{key}: head {head.sequence}, {len(lines)} lines"
    return Stream(head.epoch, list(lines), head.closed)


def summary(model: Model) -> str:
    """Short: for each stream its epoch, its number of events, and whether it is closed."""
    return " ".join(
        f"{key[-1]}{stream.epoch}:{len(stream.lines)}{'!' if stream.closed else ''}"
        for key, stream in model.items()
    )


def abandon(store: FilesystemEventStreamStore) -> None:
    """What the end of a process does: descriptors are closed, and that is all."""
    store._putting_away.shutdown()
    store._log.close()
    store._files.close()
