"""A disk in memory that crashes when it is told to, with the methods of the filesystem's Disk.

Job: show what a program finds after the process was killed, or the power was cut, at any one of its
disk operations; and let writes, syncs and space fail. The same seed gives the same disk.
Rules:
- The cache is what the kernel shows, the platter what survives a power cut. A file's bytes reach
  the platter by `sync`, by sectors; a name by `sync_directory` of its folder, and not before.
- A power cut keeps any part of what was not synced: nothing, all, a prefix, or any sectors (the
  others are as before, or zeros); and any of the changes of names, each rename whole.
- A sync that failed has marked its sectors clean: the next one answers well and writes nothing.
- `write_durably` makes its own sectors durable and no others, as RWF_DSYNC does.
- With `pause` set, every operation lets others run first, and a write may come in two pieces.
- A crash or a failure comes at an operation of a given number, or at one that is chosen by what it
  does to which path: then it is that one, whatever others did before.
Source: "Can Applications Recover from fsync Failures?".
"""

from __future__ import annotations

import errno
import mmap
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

SECTOR_BYTES = 512


class Crashed(BaseException):
    """The machine is gone, in the middle of a disk operation. Nothing may catch it."""


class _File:
    __slots__ = ("cache", "dirty", "path", "platter", "resized")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = bytearray()
        self.platter = bytearray()
        self.dirty: set[int] = set()
        self.resized = False

    def touch(self, start: int, end: int) -> None:
        if end > start:
            self.dirty.update(range(start // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1))

    def write(self, data: bytes, offset: int) -> None:
        if offset > len(self.cache):
            self.resize(offset)
        before = len(self.cache)
        self.cache[offset : offset + len(data)] = data
        self.resized |= len(self.cache) != before
        self.touch(offset, offset + len(data))

    def resize(self, size: int) -> None:
        before = len(self.cache)
        if size < before:
            del self.cache[size:]
        else:
            self.cache += bytes(size - before)
        self.resized |= size != before
        self.touch(min(before, size), max(before, size))

    def sync(self) -> None:
        size = len(self.cache)
        if not self.resized:  # then a sync that failed may have left the platter's size behind
            written = (max(self.dirty, default=-1) + 1) * SECTOR_BYTES
            size = max(len(self.platter), min(written, size))
        self._keep(size, self.dirty)
        self.forget_dirty()

    def sync_range(self, start: int, end: int) -> None:
        """Make these bytes durable, and the size they need; nothing else."""
        sectors = set(range(start // SECTOR_BYTES, (end - 1) // SECTOR_BYTES + 1))
        size = max(len(self.platter), min(end, len(self.cache)))
        self._keep(size, self.dirty & sectors)
        self.dirty -= sectors
        self.resized = self.resized and len(self.platter) != len(self.cache)

    def forget_dirty(self) -> None:
        self.dirty, self.resized = set(), False

    def _keep(self, size: int, sectors: set[int]) -> None:
        """The platter gets this size and these sectors of the cache."""
        platter = self.platter
        if size < len(platter):
            del platter[size:]
        platter += bytes(size - len(platter))
        for sector in sectors:
            start = sector * SECTOR_BYTES
            piece = self.cache[start : min(start + SECTOR_BYTES, size)]
            platter[start : start + len(piece)] = piece

    def lose_power(self, rng: random.Random, how: int) -> None:
        if self.dirty or self.resized:
            small, large = sorted((len(self.platter), len(self.cache)))
            match how:
                case 1:
                    self.sync()
                case 2:  # a prefix, torn anywhere
                    size = rng.randint(small, large)
                    kept = {n for n in self.dirty if (n + 1) * SECTOR_BYTES <= size}
                    self._keep(size, kept | {size // SECTOR_BYTES} if self.resized else kept)
                case 3:  # any sectors; what was never written is zeros
                    size = len(self.cache) if self.resized else len(self.platter)
                    self._keep(size, {n for n in sorted(self.dirty) if rng.random() < 0.5})
        self.forget_dirty()
        self.cache = bytearray(self.platter)


class _Folder:
    """A directory; the names in it are kept by the disk."""


_Node = _File | _Folder
Moment = Callable[[str, Path], bool]


def never(operation: str, path: Path) -> bool:
    """A moment that does not come."""
    return False


class _Change(NamedTuple):
    """A change of names that is not durable yet: `target` is now `node`, `source` is gone."""

    target: Path | None
    node: _Node | None
    source: Path | None


class SimulatedDisk:
    """See the module. `root` exists and is durable; everything else is made through the methods.

    Attributes:
        operations: how many operations changed something so far.
        crash_at: number of the operation to crash in, counting from 1; None for none.
        failing_syncs: numbers of the syncs, counting from 1, that raise EIO once.
        failing_operations: numbers of the operations that raise EIO; a write leaves a part.
        crashes, fails: asked at every operation that changes something, by its name ("create",
            "write", "allocate", "truncate", "sync", "sync_directory", "make_directory", "rename",
            "unlink") and path; the first True is the one to crash in, or that raises EIO.
        fills, room_bytes: likewise; from that one on there are so many bytes of space.
        space_bytes: bytes that files may still grow by; None for no limit.
        pause: called before every operation; whoever simulates threads lets others run in it.
        short_writes: share of the writes that are made in two pieces.
        cold: share of the reads that `read_nowait` does not answer.
    """

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root = root
        self.operations = self.syncs = 0
        self.crash_at: int | None = None
        self.failing_syncs: frozenset[int] = frozenset()
        self.failing_operations: frozenset[int] = frozenset()
        self.crashes: Moment = never
        self.fails: Moment = never
        self.fills: Moment = never
        self.room_bytes = 0
        self.space_bytes: int | None = None
        self.pause: Callable[[], None] = lambda: None
        self.short_writes = self.cold = 0.0
        self._rng = random.Random(seed)
        self._names: dict[Path, _Node] = {}
        self._durable: dict[Path, _Node] = {}
        self._changes: list[_Change] = []
        self._open: dict[int, _File] = {}
        self._locked: dict[int, Path] = {}
        self._next_fd = 1_000_000  # no number a real descriptor has
        self._down = False

    # --- crashing ---

    def crash(self, kind: Literal["process", "power"], *, keeps: bool = True) -> None:
        """The process ends here; with "power", what was not synced may be lost. Then it is up.

        Args:
            keeps: False to lose all of it: no part is kept by chance.
        """
        self._open.clear()
        self._locked.clear()
        self._down, self.crash_at, self.crashes = False, None, never
        if kind == "power":
            self._lose_names(self._rng.randrange(4) if keeps else 0)
            for path in sorted(self._names):
                node = self._names[path]
                if isinstance(node, _File):
                    node.path = path  # a rename may be lost
                    node.lose_power(self._rng, self._rng.randrange(4) if keeps else 0)

    def _lose_names(self, how: int) -> None:
        kept = self._changes
        match how:
            case 0:
                kept = []
            case 1:
                kept = kept[: self._rng.randint(0, len(kept))]
            case 2:
                kept = [change for change in kept if self._rng.random() < 0.5]
        for change in kept:
            _apply(self._durable, change)
        self._changes = []
        self._durable = {
            path: node for path, node in self._durable.items() if self._reachable(path)
        }
        self._names = dict(self._durable)

    def _reachable(self, path: Path) -> bool:
        parent = path.parent
        while parent != self.root and self.root in parent.parents:
            if not isinstance(self._durable.get(parent), _Folder):
                return False
            parent = parent.parent
        return True

    def stop(self) -> None:
        """The process ends between two operations: every further one raises Crashed."""
        self._down = True

    @property
    def is_down(self) -> bool:
        return self._down

    def _step(self, name: str, path: Path, half: Callable[[], None] = lambda: None) -> None:
        """Count an operation that changes something; `half` is what a crash leaves of it."""
        self._alive()
        self.operations += 1
        if self.operations == self.crash_at or self.crashes(name, path):
            half()
            self._down = True
            raise Crashed(f"at operation {self.operations}")
        if self.fills(name, path):
            self.space_bytes = self.room_bytes
        failing = self.operations in self.failing_operations
        if failing or (name != "sync" and self._fails(name, path)):  # of syncs, see _sync_file
            half()
            raise OSError(errno.EIO, "the simulated disk failed an operation")

    def _fails(self, name: str, path: Path) -> bool:
        """Whether this operation is the one; what fails once works again."""
        if not self.fails(name, path):
            return False
        self.fails = never
        return True

    def _enter(self) -> None:
        """A system call begins: others may have their turn first."""
        self._alive()
        self.pause()
        self._alive()

    def _alive(self) -> None:
        if self._down:
            raise Crashed("the machine is gone")

    # --- space ---

    def _grow(self, file: _File, size: int) -> int:
        """The size the file may really grow to."""
        more = size - len(file.cache)
        if self.space_bytes is None or more <= 0:
            if self.space_bytes is not None:
                self.space_bytes -= min(0, more)
            return size
        granted = min(more, max(self.space_bytes, 0))
        self.space_bytes -= granted
        return len(file.cache) + granted

    # --- files ---

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False) -> int:
        self._enter()
        node = self._names.get(path)
        if node is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
            self._need_folder(path.parent)
            self._step("create", path)
            node = _File(path)
            self._change(_Change(path, node, None))
        elif exclusive:
            raise FileExistsError(errno.EEXIST, "file exists", str(path))
        if not isinstance(node, _File):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        self._next_fd += 1
        self._open[self._next_fd] = node
        return self._next_fd

    def open_read(self, path: Path) -> int:
        return self.open(path)

    def close(self, fd: int) -> None:
        self._file(fd)
        del self._open[fd]
        self._locked.pop(fd, None)

    def size(self, fd: int) -> int:
        return len(self._file(fd).cache)

    def read(self, fd: int, count: int, offset: int) -> bytes:
        self._enter()
        return bytes(self._file(fd).cache[offset : offset + count])

    def read_nowait(self, fd: int, count: int, offset: int) -> bytes | None:
        if self.cold and self._rng.random() < self.cold:
            return None
        return bytes(self._file(fd).cache[offset : offset + count])

    def read_file_nowait(self, path: str, size: int) -> bytes | None:
        if not isinstance(self._names.get(Path(path)), _File):
            return None
        fd = self.open_read(Path(path))
        try:
            return self.read_nowait(fd, size, 0) if self.size(fd) == size else None
        finally:
            self.close(fd)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        if self.short_writes and len(data) > 1 and self._rng.random() < self.short_writes:
            cut = self._rng.randint(1, len(data) - 1)
            self._write(fd, data[:cut], offset)
            data, offset = data[cut:], offset + cut
        self._write(fd, data, offset)

    def _write(self, fd: int, data: bytes, offset: int) -> None:
        self._enter()
        file = self._file(fd)
        part = self._rng.randint(0, len(data))
        self._step("write", file.path, lambda: file.write(data[:part], offset))
        end = self._grow(file, max(offset + len(data), len(file.cache)))
        if end < offset + len(data):
            file.write(data[: max(end - offset, 0)], offset)
            raise OSError(errno.ENOSPC, "no space left on the simulated disk")
        file.write(data, offset)

    def begin_all(
        self, streams: Sequence[tuple[Path, Path, Path, bytes]]
    ) -> Sequence[tuple[int, int] | None]:
        return [None] * len(streams)  # one step after the other, so that a crash comes between

    def write_all(self, writes: Sequence[tuple[int, bytes, int]]) -> None:
        for fd, data, offset in writes:
            self.write(fd, data, offset)

    def place_all(self, files: Sequence[tuple[Path, Path, bytes]]) -> None:
        for draft, name, data in files:
            fd = self.open(draft, create=True)
            try:
                self.truncate(fd, 0)
                self.write(fd, data, 0)
            finally:
                if not self._down:
                    self.close(fd)
            if draft != name:
                self.rename(draft, name)

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        self.write(fd, data, offset)
        self._sync(fd, lambda file: file.sync_range(offset, offset + len(data)))

    def write_sealed(self, fd: int, data: bytes, offset: int, seal_fd: int, seal: bytes) -> int:
        self.write_durably(fd, data, offset)
        try:
            self.write(seal_fd, seal, 0)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def allocate(self, fd: int, size: int) -> None:
        self._enter()
        file = self._file(fd)
        self._step("allocate", file.path)
        if size > len(file.cache):
            end = self._grow(file, size)
            file.resize(end)
            if end < size:
                raise OSError(errno.ENOSPC, "no space left on the simulated disk")

    def truncate(self, fd: int, size: int) -> None:
        self._enter()
        file = self._file(fd)
        self._step("truncate", file.path)
        self._grow(file, size)
        file.resize(size)

    def sync_data(self, fd: int) -> None:
        self.sync(fd)

    def sync(self, fd: int) -> None:
        self._sync(fd, _File.sync)

    def _sync(self, fd: int, keep: Callable[[_File], None]) -> None:
        self._enter()
        self._sync_file(self._file(fd), keep)

    def _sync_file(self, file: _File, keep: Callable[[_File], None]) -> None:
        self._step("sync", file.path)
        self.syncs += 1
        if self.syncs in self.failing_syncs or self._fails("sync", file.path):
            file.forget_dirty()
            raise OSError(errno.EIO, "the simulated disk failed a sync")
        keep(file)

    def _file(self, fd: int) -> _File:
        self._alive()
        file = self._open.get(fd)
        if file is None:
            raise OSError(errno.EBADF, "no such descriptor")
        return file

    # --- the whole ---

    def open_filesystem(self, path: Path) -> int | None:
        self._need_folder(path)
        self._next_fd += 1
        self._open[self._next_fd] = _File(path)  # it only has to be open
        return self._next_fd

    def begin_write_back(self, fd: int) -> None:
        """Nothing: a crash draws which of what was written is on the platter anyway."""
        self._file(fd)

    def sync_filesystem(self, fd: int) -> None:
        """Files and names become durable one after another, so a crash finds some of them so."""
        self._file(fd)
        nodes = sorted(self._names.items())
        self._rng.shuffle(nodes)
        for path, node in nodes:
            if isinstance(node, _File):
                self._enter()
                self._sync_file(node, _File.sync)
            elif path in self._names:
                self.sync_directory(path)
        self.sync_directory(self.root)

    # --- names ---

    def sync_directory(self, path: Path) -> None:
        self._enter()
        self._need_folder(path)
        self._step("sync_directory", path)
        rest = []
        for change in self._changes:
            if ((change.target or change.source) or path).parent == path:
                _apply(self._durable, change)
            else:
                rest.append(change)
        self._changes = rest

    def make_directories(self, path: Path) -> list[Path]:
        self._enter()
        if path == self.root or path in self._names:
            return []
        made = [] if path.parent == self.root else self.make_directories(path.parent)
        self._step("make_directory", path)
        self._change(_Change(path, _Folder(), None))
        return [*made, path]

    def names(self, path: Path) -> list[str]:
        self._enter()
        return sorted(other.name for other in self._names if other.parent == path)

    def exists(self, path: Path) -> bool:
        self._alive()
        return path == self.root or path in self._names

    def is_directory(self, path: Path) -> bool:
        self._alive()
        return path == self.root or isinstance(self._names.get(path), _Folder)

    def rename(self, source: Path, target: Path) -> None:
        self._enter()
        self._need(source)
        self._need_folder(target.parent)
        self._step("rename", target)
        self._release(target)
        node = self._names[source]
        if isinstance(node, _File):
            node.path = target
        self._change(_Change(target, node, source))

    def unlink(self, path: Path) -> None:
        self._enter()
        self._need(path)
        self._step("unlink", path)
        self._release(path)
        self._change(_Change(None, None, path))

    def _release(self, path: Path) -> None:
        node = self._names.get(path)
        if self.space_bytes is not None and isinstance(node, _File):
            self.space_bytes += len(node.cache)

    def _change(self, change: _Change) -> None:
        _apply(self._names, change)
        self._changes.append(change)

    def _need(self, path: Path) -> None:
        self._alive()
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))

    def _need_folder(self, path: Path) -> None:
        if path != self.root and path not in self.root.parents:
            self._need(path)

    # --- whole files ---

    def read_file(self, path: Path) -> bytes | None:
        self._enter()
        node = self._names.get(path)
        return bytes(node.cache) if isinstance(node, _File) else None

    def map(self, path: Path) -> mmap.mmap | None:
        data = self.read_file(path)
        if not data:
            return None
        view = mmap.mmap(-1, len(data))
        view.write(data)
        return view

    def replace_file(self, path: Path, data: bytes) -> None:
        draft = path.with_name(f"{path.name}.new")
        fd = self.open(draft, create=True)
        try:
            self.truncate(fd, 0)
            self.write(fd, data, 0)
            self.sync(fd)
        finally:
            if not self._down:
                self.close(fd)
        self.rename(draft, path)
        self.sync_directory(path.parent)

    def lock(self, path: Path) -> int | None:
        if path in self._locked.values():
            return None
        fd = self.open(path, create=True)
        self._locked[fd] = path
        return fd

    # --- for tests ---

    def files(self) -> list[Path]:
        """Every file there is, in order."""
        return sorted(path for path, node in self._names.items() if isinstance(node, _File))

    def damage(self, path: Path, data: bytes) -> None:
        """Put other bytes in the place of a file, on the platter too."""
        node = self._names[path]
        assert isinstance(node, _File)
        node.cache, node.platter = bytearray(data), bytearray(data)
        node.forget_dirty()


def _apply(names: dict[Path, _Node], change: _Change) -> None:
    if change.source is not None:
        names.pop(change.source, None)
    if change.target is not None and change.node is not None:
        names[change.target] = change.node
