"""A store on a simulated disk, and beside it a model of what was acknowledged."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.streams.stream_folders import StreamFolders
from eventspine.contracts.settings import StorageSettings
from eventspine.contracts.stores import StreamCommit, StreamHead
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from tests.adapters.filesystem.lines import closing, deleting, events, lines_of

ROOT = Path("/simulated/root")
TINY = StorageSettings.model_construct(
    log_segment_bytes=1500, log_segments_max=1000, flush_interval_s=1.0, open_files_max=8
)
STREAMS = [f"event_stream/t/e/_/{name}" for name in "abc"]
JOURNALS = ["tabular_store/t/e/_/a", "event_stream/t/e/_/b", "tabular_store/t/e/_/c"]


@dataclass
class Stream:
    epoch: int = 1
    lines: list[bytes] = field(default_factory=list)
    closed: bool = False

    @property
    def head(self) -> StreamHead:
        written = bool(self.lines)
        return StreamHead(self.epoch, len(self.lines), self.closed, "lab" if written else None)


Model = dict[str, Stream]


def applied(
    model: Model, step: tuple[str, ...], streams: list[str] = STREAMS
) -> tuple[Model, list[StreamCommit]]:
    """The model after a commit step, and the batch: `append a3 b1 close-c delete-a` and so on."""
    model, batch = deepcopy(model), []
    for word in step:
        verb, name = (word[:-1], word[-1]) if word[:-1] in ("close-", "delete-") else ("", word[0])
        key = next(key for key in streams if key.endswith(name))
        stream = model.setdefault(key, Stream())
        if verb == "close-" and stream.lines and not stream.closed:
            batch.append(closing(key, len(stream.lines) + 1, epoch=stream.epoch))
            stream.closed = True
        elif verb == "delete-" and stream.lines:
            batch.append(deleting(key, len(stream.lines) + 1, epoch=stream.epoch))
            model[key] = Stream(stream.epoch + 1)
        elif not verb and not stream.closed:
            first, count = len(stream.lines) + 1, int(word[1:])
            lines = lines_of(first, count, epoch=stream.epoch, size=40 * (first % 3))
            batch.append(events(key, first, lines, epoch=stream.epoch))
            stream.lines += lines
    return model, batch


class Machine:
    """Runs steps; knows what is acknowledged and what is under way."""

    def __init__(
        self, seed: int = 0, sync_files_max: int = 1000, streams: list[str] = STREAMS
    ) -> None:
        self.streams = streams
        self.settings = TINY.model_copy(update={"sync_files_max": sync_files_max})
        self.disk = SimulatedDisk(ROOT, seed)
        self.acked: Model = {}
        self.maybe: Model | None = None
        self.store: FilesystemEventStreamStore | None = None

    def run(self, steps: list[tuple[str, ...]]) -> bool:
        """True when every step was done, False after a crash."""
        try:
            for step in steps:
                self.step(step)
        except Crashed:
            return False
        return True

    def step(self, step: tuple[str, ...]) -> None:
        if self.store is None:
            self.open()
        assert self.store is not None
        match step[0]:
            case "flush":
                self.store.flusher.flush()
            case "checkpoint":
                self.store.flusher.checkpoint()
            case "prepare":
                self.store._log.prepare()
            case "close":
                self.store.close()
                self.store = None
            case _:
                self.commit(step)

    def commit(self, step: tuple[str, ...]) -> None:
        assert self.store is not None
        model, batch = applied(self.acked, step, self.streams)
        if batch:
            self.maybe = model
            self.store.commit(batch)
            self.acked, self.maybe = model, None

    def open(self) -> None:
        self.store = FilesystemEventStreamStore.open(
            ROOT, self.settings, cast(Disk, self.disk), start_flusher=False
        )

    def crash(self, kind: Literal["process", "power"]) -> None:
        self.store = None
        self.disk.crash(kind)

    def reopen(self) -> None:
        """Open again, and find all that was acknowledged and all or nothing of the rest."""
        self.open()
        found = {key: self.found(key) for key in self.streams}
        may = [self.acked] if self.maybe is None else [self.acked, self.maybe]
        wanted = [{key: model.get(key, Stream()) for key in self.streams} for model in may]
        assert found in wanted, (found, wanted)
        self.acked = may[wanted.index(found)]
        self.maybe = None

    def found(self, key: str) -> Stream:
        assert self.store is not None
        head = self.store._head(key)
        lines = self.store._read(key, 1, 10_000, 1 << 30)
        assert head.sequence == len(lines)
        return Stream(head.epoch, list(lines), head.closed)

    def check_files(self) -> None:
        """After a clean stop the files hold everything and the log nothing."""
        assert self.store is None
        for key, stream in self.acked.items():
            data = self.disk.read_file(StreamFolders(ROOT).events_path(key)) or b""
            assert data == b"".join(line + b"\n" for line in stream.lines)
        assert not [path for path in self.disk.files() if path.suffix == ".log"]
