"""Objects of 4 KiB put and got, beside plain files: written, synced, renamed, folder synced.

64 callers each: tasks of ours, threads for the files. The files have no index, no checksum, no
conditions and no etags; they are what durable means at its cheapest. A million of either takes five
to ten minutes to make.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

from bench.kinds.rows import columns, embedded, sizes
from bench.kinds.spines import CONTEXT, WORKERS, Growth, on_spine
from bench.kinds.timing import Args, closed, picked, threaded
from bench.stage import Row, Stage
from eventspine import Spine

TITLE = "{size:,} objects of 4 KiB, durable puts and gets"
COLUMNS = columns("put", "get")
SIZES = (10_000, 100_000, 1_000_000)
FILES = "plain files, fsync and rename"
CONTENT = b"x" * 4096


def contenders(stage: Stage, size: int) -> list[Row]:
    return [
        embedded(stage, "eventspine, embedded", "objects.ours", size, client="64 tasks, uvloop"),
        embedded(stage, FILES, "objects.files", size, client="64 threads"),
    ]


def object_sizes(stage: Stage) -> tuple[int, ...]:
    return sizes(stage, SIZES)


def ours_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        objects, numbers = spine.objects(CONTEXT), iter(range(args.size))

        async def some() -> None:
            for n in numbers:
                await objects.put_object(f"o{n}", CONTENT)

        await asyncio.gather(*(some() for _ in range(WORKERS)))

    on_spine(args.folder, fill)


def ours(args: Args) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        objects, keys, growth = spine.objects(CONTEXT), picked(args.size), Growth()

        async def put(n: int) -> None:
            await objects.put_object(f"o{keys[n % len(keys)]}", CONTENT)

        async def get(n: int) -> None:
            assert len(await objects.get_object(f"o{keys[n % len(keys)]}")) == len(CONTENT)

        await get(0)
        written = await closed(WORKERS, args.seconds, put)
        return (*written, *await closed(WORKERS, args.seconds, get), growth.mb)

    return on_spine(args.folder, measure)


def files_fill(args: Args) -> None:
    (args.folder / "files").mkdir()
    with ThreadPoolExecutor(WORKERS) as pool:
        put = _Files(args).put
        for _ in pool.map(lambda n: put(f"o{n}"), range(args.size)):
            pass


def files(args: Args) -> tuple[float, ...]:
    at, keys, growth = _Files(args), picked(args.size), Growth()
    written = threaded(WORKERS, args.seconds, lambda n: at.put(f"o{keys[n % len(keys)]}"))
    read = threaded(WORKERS, args.seconds, lambda n: at.get(f"o{keys[n % len(keys)]}"))
    return (*written, *read, growth.mb)


class _Files:
    def __init__(self, args: Args) -> None:
        self._folder = args.folder / "files"
        self._drafts = itertools.count()

    def put(self, name: str) -> None:
        draft = self._folder / f"draft-{next(self._drafts)}"
        with draft.open("xb") as file:
            file.write(CONTENT)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def get(self, name: str) -> None:
        assert len((self._folder / name).read_bytes()) == len(CONTENT)
