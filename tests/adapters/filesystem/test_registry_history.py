"""history.jsonl beside routes.json: what a crash between the two leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.contracts.errors import RootInvalid
from eventspine.contracts.registry import RegistryImage
from eventspine.testing.registry import change, route

pytestmark = pytest.mark.anyio
FIRST, SECOND = change(1, route(1)), change(2, route(2, name="x"), route(1))


@pytest.fixture
async def store(tmp_path: Path) -> FilesystemRegistryStore:
    store = FilesystemRegistryStore(tmp_path)
    await store.save(RegistryImage(1, (route(1),)), replaces=0, change=FIRST)
    return store


def history_of(store: FilesystemRegistryStore) -> Path:
    return store.path.with_name("history.jsonl")


@pytest.mark.parametrize("cut", [0, 1, 40])
async def test_a_change_that_never_came_to_be_is_cut_off_by_the_next(store, cut) -> None:
    line = SECOND.model_dump_json().encode() + b"\n"
    with history_of(store).open("ab") as file:
        file.write(line[: len(line) - cut])
    assert await store.history() == [FIRST]
    other = change(2, route(2, name="y"), route(1))
    await store.save(RegistryImage(2, (route(2, name="y"),)), replaces=1, change=other)
    assert await store.history() == [FIRST, other]


async def test_the_line_is_on_the_disk_before_the_image(store, monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(store._disk, "replace_file", fails)
    with pytest.raises(OSError, match="the disk is gone"):
        await store.save(RegistryImage(2, (route(2, name="x"),)), replaces=1, change=SECOND)
    assert len(history_of(store).read_bytes().splitlines()) == 2
    assert await store.history() == [FIRST]
    assert (await store.load()).revision == 1


async def test_a_damaged_line_that_counts_is_told(store) -> None:
    await store.save(RegistryImage(2, (route(2, name="x"),)), replaces=1, change=SECOND)
    data = history_of(store).read_bytes()
    for damaged in (data.replace(b'"create"', b'"cre'), data.replace(b'"update"', b'"upd')):
        history_of(store).write_bytes(damaged)
        with pytest.raises(RootInvalid, match=r"history\.jsonl: line \d"):
            await store.history()


async def test_a_registry_older_than_its_history_begins_one(tmp_path) -> None:
    store = FilesystemRegistryStore(tmp_path)
    await store.save(RegistryImage(7, (route(7),)), replaces=0)
    later = change(8, route(8, name="x"), route(7))
    await store.save(RegistryImage(8, (route(8, name="x"),)), replaces=7, change=later)
    assert await store.history() == [later]
