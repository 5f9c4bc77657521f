"""Writes without the interpreter: all of them in order, up to the first that fails."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventspine.adapters.filesystem.disk import Disk


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[list[int]]:
    opened = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in "ab"]
    yield opened
    for fd in opened:
        os.close(fd)


def contents(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


def closed_fd() -> int:
    fd = os.open("/dev/null", os.O_RDONLY)
    os.close(fd)
    return fd


WRITES = st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=50), st.integers(0, 100)))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRITES)
def test_files_hold_what_the_python_side_writes(
    core: Any, fds: list[int], writes: list[tuple[int, bytes, int]]
) -> None:
    shown = []
    for write_all in (core.write_all, python_side):
        for fd in fds:
            os.ftruncate(fd, 0)
        assert write_all([(fds[n], data, at) for n, data, at in writes]) is None
        shown.append([contents(fd) for fd in fds])
    assert shown[0] == shown[1]


def python_side(writes: list[tuple[int, bytes, int]]) -> None:
    for fd, data, offset in writes:
        Disk().write(fd, data, offset)


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_any_bytes_are_written(core: Any, fds: list[int], data: Any) -> None:
    core.write_all(((fds[0], data, 2),))
    assert contents(fds[0]) == b"\0\0abc"
    if isinstance(data, bytearray):
        data += b"d"  # it was let go of


def test_nothing_behind_the_first_failure_is_written(core: Any, fds: list[int]) -> None:
    writes = [(fds[0], b"one", 0), (closed_fd(), b"two", 0), (fds[1], b"three", 0)]
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        core.write_all(writes)
    assert (caught.value.errno, caught.value.filename) == (errno.EBADF, 1)
    assert [contents(fd) for fd in fds] == [b"one", b""]


@pytest.mark.parametrize(
    "bad",
    [None, (), (1,), (1, b"", 0, 0), ("1", b"", 0), (1, "", 0), (1, b"", None), (2**40, b"", 0)],
)
def test_what_is_no_write_is_refused_before_anything_is_written(
    core: Any, fds: list[int], bad: Any
) -> None:
    kept = bytearray(b"kept")
    with pytest.raises((TypeError, OverflowError)):
        core.write_all([(fds[0], kept, 0), bad])
    assert contents(fds[0]) == b""
    kept += b"."  # no buffer is held any more
    with pytest.raises(TypeError):
        core.write_all(None)


@pytest.mark.parametrize("offset", [-1, -(2**63)])
def test_a_negative_offset_is_invalid(core: Any, fds: list[int], offset: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        core.write_all([(fds[0], b"x", offset)])
    with pytest.raises(OSError, match="Invalid argument"):
        core.write_sealed(fds[0], b"x", offset, fds[1], b"s")
    assert [contents(fd) for fd in fds] == [b"", b""]


def test_an_empty_write_tells_a_bad_descriptor_too(core: Any, fds: list[int]) -> None:
    core.write_all([])
    core.write_all([(fds[0], b"", 0)])
    for write_all in (core.write_all, python_side):
        with pytest.raises(OSError, match="Bad file"):
            write_all([(closed_fd(), b"", 0)])


class Descriptor(int):
    """Changes the list of writes while it is read."""

    writes: list[Any]

    def __index__(self) -> int:
        self.writes.clear()
        return int(self)


def test_a_list_that_changes_while_it_is_read_is_no_crash(core: Any, fds: list[int]) -> None:
    first = Descriptor(fds[0])
    first.writes = [(first, b"abc", 0), *[(fds[0], b"x" * 10, n) for n in range(100)]]
    core.write_all(first.writes)
    assert contents(fds[0])[:1] == b"x"


def test_a_full_disk_is_told_with_the_place(core: Any, fds: list[int]) -> None:
    """A limit of the process stands for it: the file may hold 4,096 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            core.write_all([(fds[0], b"x" * 4000, 0), (fds[0], b"y" * 4000, 4000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, 1)
    assert contents(fds[0]) == b"x" * 4000 + b"y" * 96  # a short write goes on until it fails


# --- a commit and its seal ---


def test_a_commit_is_written_and_then_its_seal(core: Any, fds: list[int]) -> None:
    assert core.write_sealed(fds[0], b"record", 3, fds[1], b"seal") == 0
    assert [contents(fd) for fd in fds] == [b"\0\0\0record", b"seal"]


def test_a_commit_that_fails_is_not_sealed(core: Any, fds: list[int]) -> None:
    with pytest.raises(OSError, match="Bad file") as caught:
        core.write_sealed(closed_fd(), b"record", 0, fds[1], b"seal")
    assert caught.value.errno == errno.EBADF
    assert contents(fds[1]) == b""


def test_a_seal_that_fails_is_told_and_the_commit_stands(core: Any, fds: list[int]) -> None:
    assert core.write_sealed(fds[0], b"record", 0, closed_fd(), b"seal") == errno.EBADF
    assert contents(fds[0]) == b"record"


@pytest.mark.parametrize(
    "args",
    [
        (),
        (1, b"", 0, 1),
        (1, bytearray(), 0, 1, b""),
        (1, b"", 0, 1, "text"),
        (None, b"", 0, 1, b""),
        (1, b"", None, 1, b""),
        (1, b"", 0, None, b""),
        (2**31, b"", 0, 1, b""),
        (2**70, b"", 0, 1, b""),
        (1, b"", 0, -(2**40), b""),
        (1, b"", 2**63, 1, b""),
    ],
)
def test_other_arguments_are_refused(core: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        core.write_sealed(*args)


# --- reading ---


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_in_memory_is_read(
    core: Any, fds: list[int], data: bytes, count: int, offset: int
) -> None:
    os.ftruncate(fds[0], 0)
    os.pwrite(fds[0], data, 0)
    with suppress(BlockingIOError):  # a file system that cannot say what is in memory
        assert core.read_nowait(fds[0], count, offset) == data[offset : offset + count]


@pytest.mark.parametrize(
    "args", [(), (1, 1), (None, 1, 1), (0, None, 1), (0, 1, None), (2**31, 1, 0), (0, 2**63, 0)]
)
def test_other_arguments_of_a_read_are_refused(core: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        core.read_nowait(*args)


@pytest.mark.parametrize(("count", "offset"), [(-1, 0), (1, -1)])
def test_nothing_negative_is_read(core: Any, fds: list[int], count: int, offset: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        core.read_nowait(fds[0], count, offset)
    with pytest.raises(OSError, match="Bad file"):
        core.read_nowait(closed_fd(), 1, 0)


@given(st.binary(max_size=300))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_whole_file_is_read_where_it_is_in_memory(
    core: Any, tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("read") / "file"
    path.write_bytes(data)
    assert path.read_bytes() == data
    name = os.fsencode(path)
    assert core.read_file_nowait(name, len(data)) in (data, None)  # None: not every kernel can
    for other in (-1, len(data) - 1, len(data) + 1):
        assert core.read_file_nowait(name, other) is None
    assert Disk().read_file_nowait(str(path), len(data)) in (data, None)


def test_on_this_kernel_a_file_that_was_just_read_is_in_memory(core: Any, tmp_path: Path) -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (5, 12):
        pytest.skip("the kernel cannot open what is in memory alone")
    (tmp_path / "file").write_bytes(b"x" * 4096)
    assert core.read_file_nowait(os.fsencode(tmp_path / "file"), 4096) == b"x" * 4096


def test_what_is_no_file_or_not_there_is_not_read(core: Any, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "link", Path("/dev/null")):
        for size in (0, 1, path.stat().st_size if path.exists() else 2):
            assert core.read_file_nowait(os.fsencode(path), size) is None
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("args", [(), (b"a",), ("a", 1), (b"a", None), (b"a\0b", 1), (b"a", 2**63)])
def test_other_arguments_of_a_read_by_name_are_refused(core: Any, args: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        core.read_file_nowait(*args)


@given(st.binary(max_size=100), st.integers(0, 200))
def test_newlines_are_counted(core: Any, data: bytes, times: int) -> None:
    assert core.count_lines(data * times) == (data * times).count(b"\n")
    with pytest.raises(TypeError):
        core.count_lines(memoryview(data))


def stream_in(folder: Path, head: bytes = b"head") -> tuple[bytes, bytes, bytes, bytes]:
    return (bytes(folder), bytes(folder / "events.jsonl"), bytes(folder / "events.idx"), head)


def test_new_streams_get_a_folder_and_two_files(core: Any, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    made = core.begin_all([stream_in(tmp_path / name) for name in ("new", "there")])
    for (events, index), name in zip(made, ("new", "there"), strict=True):
        assert (contents(events), contents(index)) == (b"", b"head")
        assert os.path.samestat(os.fstat(index), (tmp_path / name / "events.idx").stat())
        assert os.get_inheritable(events) is os.get_inheritable(index) is False
        os.close(events)
        os.close(index)
    assert core.begin_all([]) == []


@pytest.mark.parametrize("there", ["events.jsonl", "events.idx"])
def test_a_file_that_is_there_is_left_alone(core: Any, tmp_path: Path, there: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / there).write_bytes(b"kept")
    made = core.begin_all([stream_in(tmp_path / "a"), stream_in(tmp_path / "b")])
    assert made[0] is None
    assert [path.name for path in (tmp_path / "a").iterdir()] == [there]
    assert (tmp_path / "a" / there).read_bytes() == b"kept"
    assert made[1] is not None, "the others are made"
    for fd in made[1]:
        os.close(fd)


def test_without_the_folder_above_nothing_is_made(core: Any, tmp_path: Path) -> None:
    assert core.begin_all([stream_in(tmp_path / "no" / "a")]) == [None]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stream", [b"abcd", (b"a", b"b", b"c"), ("a", b"b", b"c", 1)])
def test_what_is_no_stream_is_refused(core: Any, tmp_path: Path, stream: Any) -> None:
    with pytest.raises(TypeError):
        core.begin_all([stream_in(tmp_path / "a"), stream])
    assert list(tmp_path.iterdir()) == []


def test_descriptors_of_what_cannot_be_made_are_closed(core: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "events.idx").touch()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert core.begin_all([stream_in(tmp_path / "a")]) == [None]
    assert len(os.listdir("/proc/self/fd")) == before


# --- whole files ---


class PythonSide(Disk):
    """A disk of another class goes call by call."""

    def write(self, fd: int, data: bytes, offset: int) -> None:
        super().write(fd, data, offset)


def compiled_side(core: Any, files: list[tuple[Path, Path, bytes]]) -> None:
    core.place_all([(os.fsencode(draft), os.fsencode(name), data) for draft, name, data in files])


PLACED = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.binary(max_size=50)), max_size=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLACED)
def test_placed_files_are_what_the_python_side_places(
    core: Any, tmp_path_factory: pytest.TempPathFactory, placed: list[tuple[str, str, bytes]]
) -> None:
    shown = []
    for side in (PythonSide().place_all, Disk().place_all, partial(compiled_side, core)):
        folder = tmp_path_factory.mktemp("placed")
        side([(folder / draft, folder / name, data) for draft, name, data in placed])
        shown.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert shown[0] == shown[1] == shown[2]


def test_who_has_the_old_file_open_keeps_it(core: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as old:
        compiled_side(core, [(tmp_path / "a.new", tmp_path / "a", b"newer")])
        assert old.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"newer"


def test_no_file_behind_the_first_failure_is_placed(core: Any, tmp_path: Path) -> None:
    files = [(tmp_path / name, tmp_path / name, b"x") for name in ("a", "no/b", "c")]
    with pytest.raises(FileNotFoundError):
        compiled_side(core, files)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    "wrong", [None, [5], [(b"a", b"b")], [(b"a", b"b", "c")], [(b"\0", b"", b"")]]
)
def test_what_is_no_file_is_refused(core: Any, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        core.place_all(wrong)
