"""The lock, the quarantine, the backlog, the doctor, the registry's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from eventspine.adapters.filesystem.disk import Disk
from eventspine.adapters.filesystem.doctor import examine, stream_keys
from eventspine.adapters.filesystem.event_stream import FilesystemEventStreamStore
from eventspine.adapters.filesystem.lock import RootLock, lock_holder
from eventspine.adapters.filesystem.log.seal import Seal
from eventspine.adapters.filesystem.quarantine import Quarantine
from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.adapters.filesystem.streams.backlog import Backlog
from eventspine.contracts.errors import RootLocked, RouteConflict, StoreCorrupt
from eventspine.contracts.registry import RegistryImage
from eventspine.contracts.settings import StorageSettings
from eventspine.contracts.stores import StreamHead
from eventspine.testing.registry import change, route
from eventspine.testing.simulated_disk import Crashed, SimulatedDisk
from tests.adapters.filesystem.lines import closing, deleting, events, lines_of
from tests.adapters.filesystem.machine import ROOT, Machine

KEY = "event_stream/t/e/_/s"
SETTINGS = StorageSettings()


def test_one_process_per_root(tmp_path) -> None:
    lock = RootLock(tmp_path, Disk())
    lock.announce("http://127.0.0.1:1")
    with pytest.raises(RootLocked) as caught:
        RootLock(tmp_path, Disk())
    assert caught.value.fields["url"] == "http://127.0.0.1:1"
    assert lock_holder(tmp_path, Disk())["pid"] == caught.value.fields["pid"]
    lock.release()
    RootLock(tmp_path, Disk()).release()
    assert lock_holder(tmp_path, Disk()) == {}
    (tmp_path / "LOCK").write_text("[1]")
    assert lock_holder(tmp_path, Disk()) == {}


def test_quarantined_bytes_are_kept_once_and_never_overwritten(tmp_path) -> None:
    quarantine = Quarantine(tmp_path, Disk())
    path = tmp_path / "a" / "events.jsonl"
    first = quarantine.keep(path, b"one")
    assert quarantine.keep(path, b"one") == first
    second = quarantine.keep(path, b"two")
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    path.parent.mkdir()
    path.write_bytes(b"0123456789")
    assert quarantine.copy(path, 7).read_bytes() == b"789"
    assert path.exists()


def test_a_backlog_shows_each_stretch_until_it_is_in_the_files() -> None:
    backlog = Backlog(Seal())
    lines = lines_of(1, 3)
    backlog.add([events(KEY, 1, lines[:2])], Seal(1, bytes(32)))
    generation, at = backlog.take()
    assert at.lsn == 1
    backlog.add([events(KEY, 3, lines[2:])], Seal(2, bytes(32)))
    assert [part.lines for part in backlog.parts(KEY)] == [lines[:2], lines[2:]]
    assert backlog.parts(KEY)[-1].head() == StreamHead(1, 3, False, "lab")
    backlog.flushed()
    assert [part.lines for part in backlog.parts(KEY)] == [lines[2:]]
    assert list(generation) == [KEY]


def test_a_backlog_folds_a_delete_into_a_wipe() -> None:
    backlog = Backlog(Seal())
    backlog.add([events(KEY, 4, lines_of(4, 1)), closing(KEY, 5), deleting(KEY, 5)], Seal())
    [part] = backlog.parts(KEY)
    assert part.wipe
    assert part.head() == StreamHead(2, 0, False, None)
    backlog.add([events(KEY, 1, lines_of(1, 2, epoch=2), epoch=2)], Seal())
    assert part.head() == StreamHead(2, 2, False, "lab")


def stored(root: Path, count: int = 300, *, close: bool = False) -> list[bytes]:
    store = FilesystemEventStreamStore.open(root, SETTINGS, start_flusher=False)
    lines = lines_of(1, count, size=100)
    store.commit([events(KEY, 1, lines)])
    if close:
        store.commit([closing(KEY, count + 1)])
    store.close()
    return lines


def verdicts(root: Path) -> list[str]:
    return [finding.verdict for finding in examine(root, SETTINGS, Disk())]


def test_the_doctor_finds_nothing_in_a_healthy_root(tmp_path) -> None:
    stored(tmp_path, close=True)
    assert set(verdicts(tmp_path)) == {"ok"}
    assert list(stream_keys(tmp_path, Disk())) == [KEY]


def test_the_doctor_makes_a_missing_index_anew(tmp_path) -> None:
    lines = stored(tmp_path)
    index = tmp_path / KEY / "events.idx"
    before = index.read_bytes()
    index.unlink()
    assert "mended" in verdicts(tmp_path)
    assert index.read_bytes() == before
    assert set(verdicts(tmp_path)) == {"ok"}
    store = FilesystemEventStreamStore.open(tmp_path, SETTINGS, start_flusher=False)
    assert store._read(KEY, 1, 1000, 1 << 30) == lines
    store.close()


@pytest.mark.parametrize("name", ["events.jsonl", "events.idx"])
def test_the_doctor_finds_every_damaged_byte_and_cut(tmp_path, name) -> None:
    stored(tmp_path, 40, close=True)
    path = tmp_path / KEY / name
    data = path.read_bytes()
    for at in range(0, len(data), len(data) // 40):
        for broken in (data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], data[:at]):
            path.write_bytes(broken)
            assert "damaged" in verdicts(tmp_path), at
    path.write_bytes(data)
    assert set(verdicts(tmp_path)) == {"ok"}


def test_a_missing_index_refuses_reads_until_it_is_mended(tmp_path) -> None:
    stored(tmp_path)
    (tmp_path / KEY / "events.idx").unlink()
    store = FilesystemEventStreamStore.open(tmp_path, SETTINGS, start_flusher=False)
    with pytest.raises(StoreCorrupt):
        store._read(KEY, 1, 1, 100)
    with pytest.raises(StoreCorrupt):
        store._head(KEY)
    store.close()


def test_damage_of_one_stream_leaves_the_others_alone() -> None:
    machine = Machine()
    machine.run([("a5", "b5"), ("close",)])
    path = ROOT / "event_stream/t/e/_/a" / "events.jsonl"
    data = machine.disk.read_file(path) or b""
    machine.disk.damage(path, data[:-10])
    machine.open()
    assert machine.store is not None
    key = "event_stream/t/e/_/b"
    assert machine.found(key) == machine.acked[key]
    with pytest.raises(StoreCorrupt):
        machine.found("event_stream/t/e/_/a")
    machine.run([("b3",), ("flush",), ("checkpoint",), ("close",)])
    machine.open()
    assert machine.found(key) == machine.acked[key]


@pytest.mark.parametrize("kind", ["process", "power"])
def test_the_registry_survives_a_crash_at_every_operation(kind) -> None:
    images = [RegistryImage(n, (route(n, f"t{n}"),)) for n in range(1, 4)]
    crashes = 0
    for n in range(1, 60):
        disk = SimulatedDisk(ROOT, n)
        disk.crash_at = n
        store = FilesystemRegistryStore(ROOT, disk)  # type: ignore[arg-type]
        saved = RegistryImage()
        trying = saved
        try:
            for trying in images:
                store._save(trying, saved.revision, change(trying.revision, trying.routes[0]))
                saved = trying
        except Crashed:
            crashes += 1
        disk.crash(kind)
        found = store._load()
        assert found in (saved, trying), json.dumps(found, default=str)
        history = [change(m.revision, m.routes[0]) for m in images[: found.revision]]
        assert store._load_history() == history
        if kind == "process":  # what was found must stay
            store._save(RegistryImage(9, (route(9),)), found.revision, change(9, route(9)))
            disk.crash("power")
            assert store._load().revision == 9
            assert store._load_history() == [*history, change(9, route(9))]
    assert crashes > 10


def test_a_registry_file_of_another_revision_is_a_conflict(tmp_path) -> None:
    store = FilesystemRegistryStore(tmp_path)
    store._save(RegistryImage(1), 0)
    with pytest.raises(RouteConflict):
        store._save(RegistryImage(2), 0)


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_lock_that_cannot_be_written_is_not_held(nth: int) -> None:
    disk = SimulatedDisk(ROOT)
    disk.failing_operations = frozenset([nth])
    for _ in range(2):
        try:
            RootLock(ROOT, cast(Disk, disk)).release()
        except OSError:
            assert disk.operations == nth
        assert disk._open == {}
