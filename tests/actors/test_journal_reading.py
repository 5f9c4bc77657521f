"""Reading journals in slices: others run in between, and what was read is not read again."""

from __future__ import annotations

import anyio
import pytest
from anyio.lowlevel import checkpoint
from typing_extensions import override

from eventspine.actors.journal_reading import SLICE_RECORDS, UNFINISHED_MAX, JournalReader
from eventspine.actors.states.table import Table
from eventspine.adapters.memory.event_stream import MemoryEventStreamStore
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.stores import CommitKind, StreamCommit, StreamHead

pytestmark = pytest.mark.anyio
KEY = "tabular_store/t/dev/_/t"
MANY = 10 * SLICE_RECORDS
NOW = "2026-01-01T00:00:00.000Z"


class ReadStore(MemoryEventStreamStore):
    """Remembers from where it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.firsts: list[int] = []

    @override
    async def read(self, key: str, first: int, count: int, bytes_max: int) -> list[bytes]:
        if count > 1:  # one alone is the first, which may say what is beside
            self.firsts.append(first)
        return await super().read(key, first, count, bytes_max)


def filled(key: str = KEY, count: int = MANY, epoch: int = 1) -> ReadStore:
    store = ReadStore()
    if epoch > 1:
        store.commit([StreamCommit(key, "lab", 1, 1, [line(1)])])
        store.commit([StreamCommit(key, "lab", 1, 2, [], CommitKind.DELETE)])
    store.commit([StreamCommit(key, "lab", epoch, 1, [line(n) for n in range(1, count + 1)])])
    return store


def line(n: int) -> bytes:
    return b'{"key":"k%d","version":%d,"updated_at":"%s","data":%d}' % (n % 999, n, NOW.encode(), n)


async def read_some(reader: JournalReader[Table], store: ReadStore, key: str = KEY) -> None:
    """Give up after a few slices, as somebody does whose time is over."""
    head = await store.head(key)
    async with anyio.create_task_group() as group:

        async def give_up() -> None:
            for _ in range(3):
                await checkpoint()
            group.cancel_scope.cancel()

        group.start_soon(give_up)
        await reader.read(store, key, head)
    assert group.cancel_scope.cancelled_caught


async def test_a_journal_is_read_on_where_somebody_gave_up() -> None:
    store, reader = filled(), JournalReader(Table)
    await read_some(reader, store)
    seen = len(store.firsts)
    assert 0 < seen < 10, "others ran while it was read"
    state, _ = await reader.read(store, KEY, await store.head(KEY))
    assert store.firsts == [1 + n * SLICE_RECORDS for n in range(10)], "nothing twice"
    whole, _ = await JournalReader(Table).read(store, KEY, await store.head(KEY))
    every = [state.get(f"k{n}", NOW) for n in range(999)]
    assert every == [whole.get(f"k{n}", NOW) for n in range(999)]
    assert (state.version, state.live) == (MANY, 999)


async def test_what_another_store_or_epoch_holds_is_read_from_its_start() -> None:
    reader = JournalReader(Table)
    await read_some(reader, filled())
    for other in (filled(count=5), filled(count=7, epoch=2)):
        state, _ = await reader.read(other, KEY, await other.head(KEY))
        assert other.firsts == [1]
        assert state.live == (await other.head(KEY)).sequence


async def test_what_nobody_reads_on_is_forgotten_in_time() -> None:
    reader = JournalReader(Table)
    stores = {f"{KEY}{n}": filled(f"{KEY}{n}") for n in range(UNFINISHED_MAX + 2)}
    for key, store in stores.items():
        await read_some(reader, store, key)
    assert len(reader._unfinished) == UNFINISHED_MAX
    first, last = next(iter(stores)), list(stores)[-1]
    for key, again in ((first, True), (last, False)):
        seen = len(stores[key].firsts)
        await reader.read(stores[key], key, await stores[key].head(key))
        assert (stores[key].firsts[seen] == 1) == again


async def test_a_journal_that_misses_records_is_corrupt() -> None:
    store, reader = filled(count=3), JournalReader(Table)
    with pytest.raises(StoreCorrupt, match="record 4 is missing"):
        await reader.read(store, KEY, StreamHead(1, 4, False, "lab"))
    assert not reader._unfinished
