"""Large journals are written anew beside themselves: used meanwhile, whole after any crash."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint

from eventspine.actors import journal_anew
from eventspine.actors.journal import JournalActor
from eventspine.contracts.errors import StoreCorrupt
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import Settings, StorageSettings
from eventspine.services.spine import Spine
from eventspine.testing.simulated_disk import SimulatedDisk
from tests.inner import stride
from tests.simulation.lives import ROOT, life
from tests.stores.conftest import CONTEXT, LAB, Opener

KEY = "tabular_store/t_demo/dev/_/t"
FOLDER = Path("tabular_store/t_demo/dev/_")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few rows are a large table."""
    for name, value in (
        *(("RECORDS_MIN", 8), ("SMALL_RECORDS", 1)),
        *(("PIECE_RECORDS", 2), ("LAST_RECORDS", 3)),
    ):
        monkeypatch.setattr(journal_anew, name, value)


def actor_of(spine: Spine) -> JournalActor[Any]:
    found = [host.journals["tabular_store"].directory.peek(KEY) for host in spine._hosts]
    actor: JournalActor[Any]
    (actor,) = [one for one in found if one is not None]
    return actor


async def settled(spine: Spine) -> JournalActor[Any]:
    """The journal, when nothing is copied any more."""
    with anyio.fail_after(10):
        while actor_of(spine).since is not None:
            await checkpoint()
    return actor_of(spine)


async def churn(
    spine: Spine, first: int, count: int, keys: int = 5, sides: set[str] | None = None
) -> dict[str, int]:
    """Rows written again and again; answers what is there at the end."""
    tables = spine.tables(CONTEXT)
    for n in range(first, first + count):
        await tables.upsert("t", f"k{n % keys}", n)
        await checkpoint()  # a memory backend never waits
        base = actor_of(spine).base
        if sides is not None and base is not None:
            sides.add(base.key[-2:])
    rows = await tables.list_by_prefix("t")
    return {row.key: row.data for row in rows}


@pytest.mark.anyio
async def test_a_large_table_gets_smaller_while_it_is_used(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    sides: set[str] = set()
    async with opener() as spine:
        for first in range(0, 200, 40):
            found = await churn(spine, first, 40, sides=sides)
            assert sorted(found.values()) == list(range(first + 35, first + 40))
            actor = await settled(spine)
            assert actor.base is not None
            assert actor.records < 40, "most of what is superseded has gone"
        assert sides == {"~a", "~b"}
        rows = await spine.tables(CONTEXT).list_by_prefix("t")
    if backend == "filesystem":
        lines = (tmp_path / FOLDER / "t.jsonl").read_text().splitlines()
        said = json.loads(lines[0])
        beside = (tmp_path / FOLDER / f"t{said['beside']}.jsonl").read_text().splitlines()
        assert len(beside) == said["records"]
        assert {"key", "data", "version"} <= json.loads(beside[0]).keys()
        other = {"~a": "~b", "~b": "~a"}[said["beside"]]
        assert not (tmp_path / FOLDER / f"t{other}.jsonl").exists()
        async with opener() as spine:
            assert await spine.tables(CONTEXT).list_by_prefix("t") == rows
            again = await churn(spine, 1000, 3)
            assert {again[f"k{n % 5}"] for n in range(1000, 1003)} == {1000, 1001, 1002}


@pytest.mark.anyio
async def test_rows_that_were_deleted_meanwhile_stay_deleted(opener: Opener) -> None:
    dice = random.Random(3)
    async with opener() as spine:
        tables, model = spine.tables(CONTEXT), dict[str, int]()
        for n in range(400):
            key = f"k{dice.randrange(12)}"
            if dice.random() < 0.4:
                await tables.delete("t", key)
                model.pop(key, None)
            else:
                model[key] = (await tables.upsert("t", key, n)).version
            await checkpoint()
        actor = await settled(spine)
        assert actor.epoch > 2
        rows = await tables.list_by_prefix("t")
        assert {row.key: row.version for row in rows} == model, "seed 3"
        for host in spine._hosts:
            host._forget("read again")
        assert await tables.list_by_prefix("t") == rows, "seed 3"
        assert (await tables.upsert("t", "new", 1)).version > max(model.values())


@pytest.mark.anyio
async def test_a_table_that_shrank_is_in_one_piece_again(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        await churn(spine, 0, 40)
        assert (await settled(spine)).base is not None
        for n in range(1, 5):
            await spine.tables(CONTEXT).delete("t", f"k{n}")
        await churn(spine, 100, 40, keys=1)
        actor = await settled(spine)
        assert actor.base is None
        assert actor.records < 20
    if backend == "filesystem":
        for side in journal_anew.SIDES:
            assert not (tmp_path / FOLDER / f"t{side}.jsonl").exists()


@pytest.mark.anyio
async def test_what_is_beside_has_to_be_what_the_journal_says(
    opener: Opener, backend: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if backend == "memory":
        pytest.skip("no files to be damaged")
    async with opener() as spine:
        await churn(spine, 0, 40)
        base = (await settled(spine)).base
        assert base is not None
    caplog.set_level(logging.CRITICAL)
    name = base.key.rpartition("/")[2]
    for suffix in (".jsonl", ".idx"):
        (tmp_path / FOLDER / f"{name}{suffix}").unlink()
    async with opener() as spine:
        with pytest.raises(StoreCorrupt, match=f"not the {base.records} records"):
            await spine.tables(CONTEXT).get("t", "k1")


# --- a crash at any disk operation ---------------------------------------------------------------

SETTINGS = Settings(lab=LAB, limits=Limits(), storage=StorageSettings(log_segment_bytes=64 * 1024))
WRITES = 34


class Story:
    """One row after another; notes what was answered, and what may have been written."""

    def __init__(self) -> None:
        self.sure: dict[str, int] = {}
        self.asked: tuple[str, int] | None = None
        self.sides: list[str] = []

    async def run(self, spine: Spine) -> None:
        if not [r for r in spine.routes.list() if r.resource_kind is ResourceKind.TABULAR_STORE]:
            spec = RouteSpec(
                resource_kind=ResourceKind.TABULAR_STORE,
                backend_type="filesystem",
                **LAB.model_dump(),
            )
            await spine.routes.create(spec)
        await self.write(spine, 0, WRITES)

    async def write(self, spine: Spine, first: int, count: int) -> None:
        tables = spine.tables(CONTEXT)
        for n in range(first, first + count):
            self.asked = (f"k{n % 3}", n)
            await tables.upsert("t", *self.asked)
            self.sure[self.asked[0]] = n
            base = actor_of(spine).base
            if base is not None and self.sides[-1:] != [base.key[-2:]]:
                self.sides.append(base.key[-2:])
        self.asked = None

    async def judge(self, spine: Spine, where: str) -> None:
        found = {row.key: row.data for row in await spine.tables(CONTEXT).list_by_prefix("t")}
        also = {**self.sure, **dict([self.asked] if self.asked else [])}
        assert found in (self.sure, also), where
        self.sure = found
        await self.write(spine, 1000, 12)
        found = {row.key: row.data for row in await spine.tables(CONTEXT).list_by_prefix("t")}
        assert found == self.sure, where


def test_a_crash_at_any_disk_operation_leaves_the_table_whole() -> None:
    disk, story, begin = SimulatedDisk(ROOT, 0), Story(), 0

    async def once(spine: Spine) -> None:
        nonlocal begin
        begin = disk.operations
        await story.run(spine)

    trio.run(life, disk, 0, SETTINGS, once)
    assert story.sides[:2] == ["~a", "~b"], "it was written anew, twice"
    end = disk.operations
    kinds: tuple[Literal["process", "power"], ...] = ("process", "power")
    for crash_at in range(begin + 1, end + 1, stride(7)):
        kind = random.Random(crash_at).choice(kinds)
        where = f"{kind} at operation {crash_at}, seed {crash_at}"
        disk, story = SimulatedDisk(ROOT, crash_at), Story()
        disk.crash_at = crash_at
        trio.run(life, disk, crash_at, SETTINGS, story.run)
        disk.crash(kind)

        async def judged(spine: Spine, story: Story = story, where: str = where) -> None:
            if spine.routes.list():
                await story.judge(spine, where)

        trio.run(life, disk, crash_at, SETTINGS, judged)
