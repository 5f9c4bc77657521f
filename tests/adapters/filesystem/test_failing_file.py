"""A file of one stream that fails for good costs that stream; every other one goes on."""

from __future__ import annotations

import errno
import random
from pathlib import Path
from typing import Literal, cast

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.doctor import Finding, examine
from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.contracts.errors import StoreCorrupt
from eventspine.testing.simulated_disk import Crashed
from tests.adapters.filesystem.bad_sectors import BadSectors, Fault
from tests.adapters.filesystem.machine import ROOT, STREAMS, Machine, Stream
from tests.inner import stride

A, B, C = STREAMS
FILES = ("events.jsonl", "events.idx")
FAULTS: tuple[Fault, ...] = ("read", "write", "sync")
OUTAGES_MAX = 2
BEFORE: list[tuple[str, ...]] = [("a3", "b2", "c1"), ("flush",), ("checkpoint",), ("b1",)]
DURING: list[tuple[str, ...]] = [
    ("a4", "b2"),
    ("flush",),
    ("a2", "c3"),
    ("flush",),
    ("checkpoint",),
    ("b3", "c1"),
    ("checkpoint",),
    ("flush",),
    ("c4", "b1"),
]

failing_files = pytest.mark.parametrize("fault", FAULTS)
which_file = pytest.mark.parametrize("name", FILES)
syncing = pytest.mark.parametrize("sync_files_max", [1000, 0], ids=["one by one", "as a whole"])


class Server(Machine):
    """A machine that opens its store again when that failed, as the supervisor does.

    An append to the stream in `refusing` may be refused.
    """

    def __init__(self, seed: int = 0, sync_files_max: int = 1000) -> None:
        super().__init__(seed, sync_files_max)
        self.disk: BadSectors = BadSectors(ROOT, seed)
        self.outages = 0

    def live(self, steps: list[tuple[str, ...]]) -> None:
        for step in steps:
            if self.store is None:
                self.open()
            allowed = tuple(word for word in step if not self._refuses(word))
            try:
                self.step(allowed) if allowed else None
            except OSError as error:
                self.outages += 1
                self._let_go(error)
                if self.maybe is not None:
                    raise AssertionError("the log does not fail here") from error

    def _refuses(self, word: str) -> bool:
        """As the actor would, which asks for the head first, and never writes if that fails."""
        assert self.store is not None
        key = next((key for key in STREAMS if word[:-1] and key[-1] == word.strip("-")[0]), None)
        if word in ("flush", "checkpoint", "close") or key is None:
            return False
        try:
            self.store._files.check(key)
        except StoreCorrupt:
            return True
        return False

    def _let_go(self, error: OSError) -> None:
        store, self.store = self.store, None
        assert store is not None
        store.flusher.failure = store.flusher.failure or error
        store.close()

    def lose_power(self) -> None:
        self.crash("power")
        self.open()

    def others_are_whole(self, *bad: str) -> None:
        for key in STREAMS:
            if key not in bad:
                assert self.found(key) == self.acked.get(key, Stream()), key

    def nothing_is_lost(self) -> None:
        """Every acknowledged line is in the log, in a stream's file, or in quarantine/."""
        kept = b"".join(map(self.disk.contents, self.disk.files()))
        for stream in self.acked.values():
            for line in stream.lines:
                assert line in kept, line[:60]

    def doctor(self, *accept: str) -> list[Finding]:
        assert self.store is None
        return examine(ROOT, self.settings, cast(Disk, self.disk), accept)

    def refused(self) -> set[str]:
        return set(Quarantine(ROOT, cast(Disk, self.disk)).refused())

    def stop(self) -> None:
        assert self.store is not None
        self.store.close()
        self.store = None


def damaged(findings: list[Finding]) -> set[str]:
    return {one.what for one in findings if one.verdict == "damaged"}


def server_with_a_bad_file(name: str, fault: Fault, seed: int, sync_files_max: int) -> Server:
    server = Server(seed, sync_files_max)
    server.live(BEFORE)
    server.disk.bad = {ROOT / A / name: fault}
    return server


def lived_on(server: Server) -> None:
    """The others live on, and through a power cut; then the fault goes, and all is well again."""
    server.live(DURING)
    assert server.outages <= OUTAGES_MAX, "a failing file costs outages again and again"
    server.others_are_whole(A)
    server.nothing_is_lost()
    server.lose_power()
    server.others_are_whole(A)
    server.nothing_is_lost()
    server.live([("b1", "c1"), ("flush",), ("checkpoint",)])
    server.others_are_whole(A)


def recovered(server: Server) -> None:
    server.disk.bad = {}
    assert not damaged(server.doctor())
    server.lose_power()  # what the doctor has put back is on the platter
    server.others_are_whole()
    server.live([("a2", "b1"), ("flush",), ("close",)])
    server.check_files()
    assert {one.verdict for one in server.doctor()} == {"ok"}


@syncing
@failing_files
@which_file
@pytest.mark.parametrize("seed", range(3))
def test_a_file_that_fails_at_run_time_costs_its_stream(
    name: str, fault: Fault, sync_files_max: int, seed: int
) -> None:
    server = server_with_a_bad_file(name, fault, seed, sync_files_max)
    lived_on(server)
    server.stop()
    recovered(server)


@syncing
@failing_files
@which_file
@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_file_that_fails_when_the_root_is_opened_costs_its_stream(
    name: str, fault: Fault, kind: Literal["process", "power"], sync_files_max: int
) -> None:
    for seed in range(4):
        server = Server(seed, sync_files_max)
        server.live([*BEFORE, ("a4", "b2"), ("flush",), ("a2", "c3")])
        server.crash(kind)
        server.disk.bad = {ROOT / A / name: fault}
        server.open()
        lived_on(server)
        server.stop()
        recovered(server)


@failing_files
@which_file
def test_what_a_failing_file_costs_is_told(name: str, fault: Fault) -> None:
    server = server_with_a_bad_file(name, fault, 1, 1000)
    server.live([("a4", "b2"), ("flush",), ("checkpoint",)])
    server.crash("process")
    server.open()
    assert server.store is not None
    with pytest.raises(StoreCorrupt, match=r"a bad sector|cannot be"):
        server.store._read(A, 1, 10, 1 << 20)
    if server.refused():
        with pytest.raises(StoreCorrupt):
            server.store._head(A)
    assert server.store.statistics().details["damaged_streams"] == 1
    server.stop()
    assert damaged(server.doctor()) == {A}
    assert damaged(server.doctor(A)) == {A}, "nothing to accept while it cannot be trusted"


@pytest.mark.parametrize("end", ["close-a", "delete-a"])
@pytest.mark.parametrize("fault", ["write", "sync"])
@which_file
def test_an_end_that_could_not_be_written_is_not_forgotten(
    name: str, fault: Fault, end: str
) -> None:
    for after in [(), (("a2",),)] if end == "delete-a" else [()]:
        server = server_with_a_bad_file(name, fault, 2, 1000)
        server.live([("a1",), (end,), *after])
        server.crash("process")
        server.open()
        server.live([("b1",), ("flush",), ("checkpoint",)])
        server.lose_power()
        server.others_are_whole(A)
        server.stop()
        server.disk.bad = {}
        assert not damaged(server.doctor())
        server.open()
        server.others_are_whole()


@pytest.mark.parametrize("fault", ["write", "sync"])
@which_file
def test_a_new_stream_whose_files_fail_at_once_comes_back(name: str, fault: Fault) -> None:
    for seed in range(8):
        server = Server(seed)
        server.live([("b1",), ("flush",), ("checkpoint",)])
        server.disk.bad = {ROOT / A / name: fault}
        server.live([("a3", "b1"), ("flush",), ("checkpoint",), ("b1",), ("checkpoint",)])
        assert server.refused() == {A}
        server.nothing_is_lost()
        server.stop()
        recovered(server)


def test_a_stream_whose_older_events_cannot_be_read_takes_new_ones() -> None:
    server = server_with_a_bad_file("events.jsonl", "read", 0, 1000)
    server.live([("a4",), ("flush",), ("checkpoint",)])
    assert (server.outages, server.refused()) == (0, set())
    assert server.store is not None
    with pytest.raises(StoreCorrupt):
        server.store.read_nowait(A, 1, 10, 1 << 20)
    assert server.store.statistics().details["damaged_streams"] == 1
    server.disk.bad = {}
    server.others_are_whole()


def test_several_files_that_fail_cost_their_streams() -> None:
    server = Server(3, sync_files_max=0)
    server.live(BEFORE)
    server.disk.bad = {ROOT / A / "events.idx": "sync", ROOT / C / "events.jsonl": "write"}
    server.live(DURING)
    server.lose_power()
    assert server.refused() == {A, C}
    server.others_are_whole(A, C)
    server.nothing_is_lost()
    server.stop()
    recovered(server)


@syncing
def test_an_error_that_comes_once_sets_nothing_aside(sync_files_max: int) -> None:
    """Whatever operation of an opening it is: it costs that opening at most."""
    nth, opened = 1, 0
    while True:
        server = Server(nth, sync_files_max)
        server.live([*BEFORE, ("a4", "b2"), ("flush",), ("delete-c", "a2"), ("c3",)])
        server.crash("process" if nth % 2 else "power")
        at = server.disk.operations + nth
        server.disk.failing_operations = frozenset([at])
        try:
            server.open()
            opened += 1
        except OSError:
            server.store = None
        met = server.disk.operations >= at
        server.disk.crash("process")
        server.disk.failing_operations = frozenset()
        server.open()
        assert not server.refused()
        server.others_are_whole()
        server.lose_power()
        server.others_are_whole()
        if not met:
            break
        nth += stride(5)
    assert nth > 20
    assert opened > nth // stride(5) // 4


@failing_files
@which_file
def test_a_crash_at_any_operation_of_setting_aside_loses_nothing(name: str, fault: Fault) -> None:
    nth = 1
    while True:
        server = Server(nth)
        server.live([*BEFORE, ("a4", "b2"), ("flush",), ("a2", "c3")])
        server.crash("process")
        server.disk.bad = {ROOT / A / name: fault}
        server.disk.crash_at = server.disk.operations + nth
        try:
            server.open()
            break
        except Crashed:
            server.crash("power")
        server.open()
        server.others_are_whole(A)
        server.nothing_is_lost()
        server.stop()
        recovered(server)
        nth += stride(5)
    assert nth > 10


@failing_files
@which_file
def test_a_crash_at_any_operation_of_putting_back_loses_nothing(name: str, fault: Fault) -> None:
    nth = 1
    while True:
        server = Server(nth)
        server.live([*BEFORE, ("a4", "b2"), ("flush",), ("a2", "c3"), ("close-a",)])
        server.crash("process")
        server.disk.bad = {ROOT / A / name: fault}
        server.open()
        server.crash("power")
        server.disk.bad = {}
        server.disk.crash_at = server.disk.operations + nth
        try:
            server.doctor()
            break
        except Crashed:
            server.crash("power")
        assert not damaged(server.doctor())
        server.open()
        server.others_are_whole()
        nth += stride(5)
    assert nth > 10


@pytest.mark.parametrize("space", range(0, 4000, 250))
@failing_files
@which_file
def test_a_full_disk_beside_it_loses_nothing(name: str, fault: Fault, space: int) -> None:
    server = Server(space)
    server.live([*BEFORE, ("a9", "b2"), ("flush",), ("a2", "c3")])
    server.crash("power")
    server.disk.bad = {ROOT / A / name: fault}
    server.disk.space_bytes = space
    try:
        server.open()
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - or none at all
        server.store = None
        server.crash("process")
    else:
        server.others_are_whole(A)
    server.disk.space_bytes = None
    server.live([("flush",), ("checkpoint",), ("b1",)])
    server.live([("flush",), ("checkpoint",), ("b1",)])
    server.others_are_whole(A)
    server.lose_power()
    server.others_are_whole(A)
    server.nothing_is_lost()
    server.stop()
    recovered(server)


def test_a_neighbours_failing_file_costs_one_outage_and_no_stream() -> None:
    """Another program's, on the same file system: syncfs tells of it, and no file of ours fails."""
    server = Server(0, sync_files_max=0)
    server.live(BEFORE)
    server.disk.bad_neighbour = True
    server.live([*DURING, *BEFORE, *DURING])
    assert server.outages == 1
    assert not server.refused()
    server.others_are_whole()
    server.lose_power()
    server.others_are_whole()


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_disk_that_fails_for_everybody_sets_nobody_aside(
    kind: Literal["process", "power"],
) -> None:
    for seed in range(4):
        server = Server(seed)
        server.live([*BEFORE, ("a4", "b2"), ("flush",), ("a2", "c3")])
        server.crash(kind)
        server.disk.bad_device = True
        for _ in range(2):
            with pytest.raises(OSError, match="the device is gone"):
                server.open()
        server.disk.bad_device = False
        server.open()
        assert not server.refused()
        server.others_are_whole()
        server.lose_power()
        server.others_are_whole()


@pytest.mark.parametrize("seed", range(60))
def test_files_that_fail_and_work_again_through_crashes_lose_nothing(seed: int) -> None:
    rng = random.Random(seed)
    server = Server(seed, sync_files_max=rng.choice([0, 1000]))
    server.live(BEFORE)
    words = ["a1", "a3", "b2", "c1", "c4", "flush", "flush", "checkpoint", "checkpoint"]
    for _ in range(40):
        match rng.randrange(12):
            case 0:
                bad = ROOT / rng.choice([A, C]) / rng.choice(FILES)
                server.disk.bad[bad] = rng.choice(FAULTS)
            case 1 | 2:
                server.disk.bad = {}
            case 3:
                server.crash(rng.choice(["process", "power"]))
                server.open()
            case 4:
                server.live([(rng.choice(["close-c", "delete-a", "delete-c", "close-b"]),)])
            case _:
                server.live([(rng.choice(words),)])
        bad_now = {key for path in server.disk.bad for key in STREAMS if key in str(path)}
        if server.store is not None:
            server.others_are_whole(*bad_now, *server.refused())
        server.nothing_is_lost()
    server.disk.bad = {}
    server.lose_power()
    server.stop()
    assert not damaged(server.doctor())
    server.open()
    server.others_are_whole()
    server.stop()
    server.check_files()


def test_a_folder_above_the_streams_that_fails_is_no_streams_fault(monkeypatch) -> None:
    server = Server()
    server.live(BEFORE[:1])
    server.crash("process")

    make = server.disk.make_directories

    def failing(path: Path) -> list[Path]:
        if "event_stream" in path.parts:
            raise OSError(errno.EIO, "a bad sector", str(path))
        return make(path)

    with monkeypatch.context() as patch:
        patch.setattr(server.disk, "make_directories", failing)
        with pytest.raises(OSError, match="bad sector"):
            server.open()
    assert not server.refused()
    server.open()
    server.others_are_whole()
