"""File systems to break: an ext4 or xfs image on a loop device, a tmpfs of so many bytes.

Job: mount one below a folder, cut its power, mount it again; leave nothing mounted, ever.
Rules: `cut_power` is the kernel's own FS_IOC_SHUTDOWN with NOLOGFLUSH: from then on every call
fails, and what was neither synced nor journaled is not there after the next mount. What a drive
does to a sector that is under way when the power goes is not in it.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

Kind = Literal["ext4", "xfs"]
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
IMAGE_MB = 400  # mkfs.xfs takes no less than 300
_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2


class Volume:
    """A mounted image: `path` is where it is mounted."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.kind = kind
        self.path = folder / "mnt"
        self.cuts = 0
        self._image = folder / "disk.img"

    def make(self) -> None:
        self.path.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(IMAGE_MB * 1024 * 1024)
        _run(*MAKE[self.kind], str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def cut_power(self) -> None:
        """From here on the disk answers nobody. End whoever uses it, then `restore_power`."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, array.array("I", [_NO_LOG_FLUSH]))
        finally:
            os.close(fd)
        self.cuts += 1

    def restore_power(self) -> None:
        """Mount what was on the disk when the power went; its journal is replayed."""
        _unmount(self.path)
        self.mount()

    def cleanup(self) -> None:
        if f" {self.path} " in Path("/proc/self/mounts").read_text():  # is_mount() is no help: EIO
            _unmount(self.path, lazily=True)
        self._image.unlink(missing_ok=True)


@contextmanager
def volume(folder: Path, kind: Kind) -> Iterator[Volume]:
    """A fresh file system of a kind for as long as the block runs. Skips what cannot be had."""
    missing = missing_for(kind)
    if missing:
        pytest.skip(missing)
    it = Volume(folder, kind)
    try:
        it.make()
        yield it
    finally:
        it.cleanup()


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[Path]:
    """A tmpfs of so many KiB, mounted at `path`. See `resize`."""
    path.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "eventspine-test", str(path))
    try:
        yield path
    finally:
        _unmount(path, lazily=True)


def resize(path: Path, kilobytes: int) -> None:
    """Give a mounted tmpfs another size; never below what is in it."""
    _run("mount", "-o", f"remount,size={kilobytes}k", str(path))


def missing_for(*needs: str) -> str:
    """What this machine lacks for faults of the disk, in a word for a skip; empty if nothing."""
    if os.geteuid() != 0:
        return "needs root: mounts file systems and traces processes"
    for need in needs:
        command = MAKE[need][0] if need in MAKE else need
        if need != "tmpfs" and shutil.which(command) is None:
            return f"needs {command}"
        if need in MAKE and not _may_mount("loop"):
            return "needs loop devices: this machine (a container?) may not mount an image"
        if need == "tmpfs" and not _may_mount("tmpfs"):
            return "needs mount: this machine (a container?) may not mount a tmpfs"
        if need == "strace" and not _may_trace():
            return "needs ptrace: strace may not trace here"
    return ""


@cache
def _may_mount(kind: str) -> bool:
    if kind == "loop":
        done = subprocess.run(["losetup", "-f"], capture_output=True, check=False)
        return done.returncode == 0 and _may_mount("tmpfs")
    command = "mount -t tmpfs eventspine-test /mnt"  # in a namespace of its own: nothing is left
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, check=False)
    return done.returncode == 0


@cache
def _may_trace() -> bool:
    command = ["strace", "-qq", "-o", "/dev/null", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _unmount(path: Path, *, lazily: bool = False) -> None:
    """Unmount; somebody who has just been killed may still hold a file for a moment."""
    for _ in range(100):
        done = subprocess.run(["umount", str(path)], capture_output=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(0.05)
    if not lazily:
        raise AssertionError(done.stderr.decode())
    with contextlib.suppress(subprocess.CalledProcessError):
        _run("umount", "-l", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
