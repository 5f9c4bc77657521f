"""Tables behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from eventspine import RequestContext
from eventspine.contracts.errors import (
    InvalidId,
    InvalidRequest,
    PreconditionFailed,
    ScopeMismatch,
    TooLarge,
)
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio


async def test_the_seed_s_four_operations(opener: Opener) -> None:
    async with opener() as spine:
        tables = spine.tables(CONTEXT)
        assert await tables.get("policies", "p1") is None
        row = await tables.upsert("policies", "p1", {"limit": 5})
        assert (row.key, row.data, row.version) == ("p1", {"limit": 5}, 1)
        await tables.upsert("policies", "p0", {"limit": 1})
        await tables.upsert("policies", "q", None)
        assert await tables.get("policies", "p1") == {"limit": 5}
        found = await tables.list_by_prefix("policies", "p")
        assert [(one.key, one.data) for one in found] == [
            ("p0", {"limit": 1}),
            ("p1", {"limit": 5}),
        ]
        assert await tables.delete("policies", "p1")
        assert not await tables.delete("policies", "p1")
        assert await tables.get("policies", "p1") is None
        assert await tables.get("settings", "p0") is None


async def test_versions_compare_and_set(opener: Opener) -> None:
    async with opener() as spine:
        tables = spine.tables(CONTEXT)
        first = await tables.upsert("t", "k", 1, if_version=0)
        second = await tables.upsert("t", "k", 2, if_version=first.version)
        with pytest.raises(PreconditionFailed) as refused:
            await tables.upsert("t", "k", 3, if_version=first.version)
        assert refused.value.fields["current"] == str(second.version)
        with pytest.raises(PreconditionFailed):
            await tables.delete("t", "k", if_version=first.version)
        assert await tables.delete("t", "k", if_version=second.version)
        again = await tables.upsert("t", "k", 4, if_version=0)
        assert again.version > second.version, "a version is never used twice"


async def test_a_hundred_writers_count_to_a_hundred(opener: Opener) -> None:
    """Each reads, adds one, and writes if nobody was faster: nothing gets lost."""
    async with opener() as spine:
        tables = spine.tables(CONTEXT)

        async def count() -> None:
            while True:
                row = await tables.get_row("t", "n")
                value, version = (row.data, row.version) if row else (0, 0)
                try:
                    await tables.upsert("t", "n", value + 1, if_version=version)
                except PreconditionFailed:
                    continue
                return

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(count)
        assert await tables.get("t", "n") == 100


async def test_scopes_do_not_see_each_other(opener: Opener) -> None:
    async with opener() as spine:
        await spine.tables(CONTEXT).upsert("t", "k", "mine")
        surface = CONTEXT.model_copy(update={"surface_id": "SQUARED²"})
        assert await spine.tables(surface).get("t", "k") is None
        await spine.tables(surface).upsert("t", "k", "theirs")
        canonical = CONTEXT.model_copy(update={"surface_id": "squared2"})
        assert await spine.tables(canonical).get("t", "k") == "theirs"
        assert await spine.tables(CONTEXT).get("t", "k") == "mine"


async def test_a_table_is_of_one_mode(opener: Opener) -> None:
    async with opener() as spine:
        await spine.tables(CONTEXT).upsert("t", "k", 1)
        other = RequestContext(tenant_id="t_demo", env="dev", mode="saas")
        with pytest.raises(Exception, match="No route configured for tabular_store"):
            await spine.tables(other).get("t", "k")
        actor = next(iter(spine._hosts)).journals["tabular_store"].directory
        state = actor.peek("tabular_store/t_demo/dev/_/t") or next(
            one.journals["tabular_store"].directory.peek("tabular_store/t_demo/dev/_/t")
            for one in spine._hosts
            if one.journals["tabular_store"].directory.peek("tabular_store/t_demo/dev/_/t")
        )
        with pytest.raises(ScopeMismatch):
            state.check_mode("saas")


async def test_what_cannot_be_is_refused_and_changes_nothing(opener: Opener) -> None:
    async with opener(event_bytes_max=400, batch_events_max=3) as spine:
        tables = spine.tables(CONTEXT)
        with pytest.raises(InvalidId):
            await tables.upsert("t", "", 1)
        with pytest.raises(InvalidId):
            await tables.upsert("t\n", "k", 1)
        with pytest.raises(TooLarge):
            await tables.upsert("t", "k", "x" * 400)
        with pytest.raises(TooLarge):
            await tables.write("t", [tables.operation("k", b"1")] * 4)
        with pytest.raises(InvalidRequest):
            await tables.upsert("t", "k", 1, ttl_s=0)
        with pytest.raises(InvalidRequest):
            await tables.page("t", limit=0)
        assert await tables.list_by_prefix("t") == []
        assert (await tables.upsert("t", "k", 1)).version == 1


async def test_a_restart_between_any_two_steps(opener: Opener, backend: str) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    seen = []
    steps = [("put", "a", 1), ("put", "b", 2), ("delete", "a", 0), ("put", "a", 3), ("put", "b", 4)]
    for verb, key, value in steps:
        async with opener() as spine:
            tables = spine.tables(CONTEXT)
            if verb == "put":
                seen.append((await tables.upsert("t", key, value)).version)
            else:
                assert await tables.delete("t", key)
    assert seen == [1, 2, 4, 5]
    async with opener() as spine:
        rows = await spine.tables(CONTEXT).list_by_prefix("t")
    assert [(row.key, row.data, row.version) for row in rows] == [("a", 3, 4), ("b", 4, 5)]


async def test_a_table_of_superseded_rows_is_written_anew(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        tables = spine.tables(CONTEXT)

        async def write(worker: int) -> None:
            for n in range(100):
                await tables.upsert("t", f"{worker}", n)

        async with anyio.create_task_group() as group:
            for worker in range(30):
                group.start_soon(write, worker)
        rows = await tables.list_by_prefix("t")
        assert {row.data for row in rows} == {99}
        assert max(row.version for row in rows) == 3000
    if backend == "filesystem":
        lines = (tmp_path / "tabular_store/t_demo/dev/_/t.jsonl").read_text().splitlines()
        assert len(lines) < 1100, "the file has forgotten what was superseded"
        assert {"key", "data", "version", "updated_at"} <= json.loads(lines[0]).keys()
        async with opener() as spine:
            again = await spine.tables(CONTEXT).list_by_prefix("t")
        assert again == rows


async def test_a_table_too_large_to_compact_stays_and_is_right(opener: Opener) -> None:
    async with opener(compaction_bytes_max=10) as spine:
        tables = spine.tables(CONTEXT)
        for start in range(0, 2400, 300):
            operations = [
                tables.operation(f"{n % 3}", b"%d" % n) for n in range(start, start + 300)
            ]
            await tables.write("t", operations)
        assert [row.data for row in await tables.list_by_prefix("t")] == [2397, 2398, 2399]
