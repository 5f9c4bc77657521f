"""The compiled device: one record at a time, told through a descriptor."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from typing import Any

import pytest

from eventspine.native import core

pytestmark = pytest.mark.skipif(core is None, reason="the compiled module is not there")


@pytest.fixture
def device() -> Any:
    device = core.Express()
    yield device
    device.close()


def landed(device: Any, fd: int) -> tuple[int, int]:
    assert select.select([fd], [], [], 30)[0] == [fd]
    while not device.landed:
        pass  # told a moment before
    outcome: tuple[int, int] = device.finish()
    return outcome


@pytest.fixture
def files(tmp_path: Path) -> Any:
    fds = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("log", "seal")]
    yield fds
    for fd in fds:
        os.close(fd)


def test_records_are_written_one_after_another_each_with_its_seal(device: Any, files: Any) -> None:
    log, seal = files
    fd = device.listen(print, print)
    at = 0
    for n in range(200):
        record = bytes([n]) * (n * 37 + 1)
        assert not device.landed
        device.begin(log, record, at, seal, b"%064d" % n)
        assert landed(device, fd) == (0, 0)
        assert os.pread(log, len(record), at) == record
        assert os.pread(seal, 64, 0) == b"%064d" % n
        assert select.select([fd], [], [], 0)[0] == []
        at += len(record)


def test_what_fails_is_told_and_the_next_one_may_work(device: Any, files: Any) -> None:
    log, seal = files
    fd = device.listen(print, print)
    device.begin(log, b"a", -1, seal, b"s")
    assert landed(device, fd) == (errno.EINVAL, 0)
    assert os.pread(seal, 1, 0) == b"", "no seal for what is not there"
    device.begin(log, b"a", 0, 1 << 20, b"s")
    assert landed(device, fd) == (0, errno.EBADF)
    device.begin(log, b"b", 1, seal, b"s")
    assert landed(device, fd) == (0, 0)
    assert os.pread(log, 9, 0) == b"ab"


def test_one_at_a_time(device: Any, files: Any) -> None:
    log, seal = files
    fd = device.listen(print, print)
    with pytest.raises(RuntimeError, match="no record is done"):
        device.finish()
    device.begin(log, b"a", 0, seal, b"s")
    with pytest.raises(RuntimeError, match="on its way"):
        device.begin(log, b"b", 1, seal, b"s")
    assert landed(device, fd) == (0, 0)


@pytest.mark.parametrize("wrong", [(), (1,), (1, "text", 0, 1, b""), ("x", b"", 0, 1, b"")])
def test_nonsense_is_a_type_error(device: Any, wrong: Any) -> None:
    with pytest.raises(TypeError):
        device.begin(*wrong)


def test_closing_finishes_what_is_begun_and_takes_no_more(files: Any) -> None:
    log, seal = files
    device = core.Express()
    record = b"x" * 4_000_000
    device.begin(log, record, 0, seal, b"s")
    device.close()
    device.close()
    assert os.pread(log, len(record), 0) == record
    with pytest.raises(RuntimeError):
        device.begin(log, b"b", 0, seal, b"s")


def test_devices_leave_neither_threads_nor_descriptors() -> None:
    def standing() -> tuple[int, int]:
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

    before = standing()
    for _ in range(50):
        core.Express().close()
        core.Express()  # ended by its last reference
    assert standing() == before
