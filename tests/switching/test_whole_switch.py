"""From start to finish: what is behind a route is the same behind its new backend, and back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from eventspine import RequestContext, Spine
from eventspine.contracts.errors import CursorGone, EventConflict, StreamClosed
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.rows import Operation
from eventspine.contracts.switch import SwitchState
from eventspine.services.tabular import TabularStoreService
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    OTHER_FILES,
    Direction,
    Opener,
    key_of,
    lead,
    verified,
)

pytestmark = pytest.mark.anyio
STREAMS = ("long", "short", "closed", "again", "empty again", "é/² 世界")


def event(n: int, event_id: str | None = None) -> dict[str, Any]:
    stated: dict[str, Any] = {"event_type": "t", "payload": {"n": n}}
    return stated if event_id is None else {**stated, "event_id": event_id}


async def fill(spine: Spine) -> None:
    """Streams of every sort: long, of one event, closed, deleted, deleted and begun again."""
    for first in range(0, 3000, 1000):
        await spine.append_batch(
            "long", [event(n, f"own-{n}") for n in range(first, first + 1000)], CONTEXT
        )
    for name in STREAMS[1:]:
        await spine.append_batch(name, [event(n) for n in range(3)], CONTEXT)
    await spine.close_stream("closed", CONTEXT)
    for name in ("again", "empty again"):
        await spine.delete_stream(name, CONTEXT)
    await spine.append("again", event(1, "mine"), CONTEXT)


async def look(spine: Spine) -> dict[str, Any]:
    """All that can be read of them."""
    found: dict[str, Any] = {}
    for name in STREAMS:
        lines: list[bytes] = []
        while page := (await spine.list_after(name, _after(lines), CONTEXT, limit=10_000)).lines:
            lines += page
        found[name] = await spine.head(name, CONTEXT), lines
    return found


def _after(lines: list[bytes]) -> str | None:
    return None if not lines else lines[-1].split(b'"cursor":"')[1].split(b'"')[0].decode()


async def test_streams_are_the_same_behind_the_new_backend_and_back(
    opener: Opener, direction: Direction
) -> None:
    async with opener() as spine:
        await lead(spine, direction.source)
        await fill(spine)
        before = await look(spine)
        switch = await verified(spine, direction.target)
        assert switch.verification is not None
        assert switch.verification.streams >= len(STREAMS)
        assert await look(spine) == before

        switched = await spine.switches.switch(KEY, "ada")
        assert (switched.state, switched.next_steps) == (S.SWITCHED, ["finish", "reverse"])
        assert switched.pause_ms is not None
        assert spine.routes.get(KEY).config == direction.target.config
        assert await look(spine) == before
        await spine.append("long", event(3000), CONTEXT)
        await spine.append("again", event(2), CONTEXT)
        await spine.append("born there", event(1), CONTEXT)
        later = await look(spine)
        await spine.switches.wait_level(KEY)

        back = await spine.switches.reverse(KEY, "ada")
        assert back.state is S.REVERSED
        assert spine.routes.get(KEY).config == direction.source.config
        assert await look(spine) == later
        assert (await spine.head("born there", CONTEXT)).cursor.sequence == 1

        await spine.switches.verify(KEY)
        await spine.switches.switch(KEY)
        assert (await spine.switches.finish(KEY)).state is S.FINISHED
        assert await look(spine) == later
        await spine.append("long", event(3001), CONTEXT)
        actions = [c.action for c in await spine.routes.history.entries({}, None, 3)]
        assert actions == ["switch"] * 3


async def test_positions_and_ids_hold_across_a_switch(opener: Opener, direction: Direction) -> None:
    async with opener() as spine:
        await lead(spine, direction.source)
        await fill(spine)
        first = await spine.append("again", event(7, "seven"), CONTEXT)
        position = str((await spine.head("long", CONTEXT)).cursor)
        gone = str((await spine.head("empty again", CONTEXT)).cursor)
        await spine.append("empty again", event(1), CONTEXT)
        await spine.delete_stream("empty again", CONTEXT)
        await verified(spine, direction.target)
        await spine.switches.switch(KEY)

        again = await spine.append("again", event(7, "seven"), CONTEXT)
        assert (again.duplicates, list(again.lines)) == (1, list(first.lines))
        with pytest.raises(EventConflict):
            await spine.append("long", event(4, "own-5"), CONTEXT)
        page = await spine.list_after("long", "own-2990", CONTEXT)
        assert len(page.lines) == 9
        assert not (await spine.list_after("long", position, CONTEXT)).lines
        with pytest.raises(CursorGone):
            await spine.list_after("empty again", gone, CONTEXT)
        with pytest.raises(StreamClosed):
            await spine.append("closed", event(1), CONTEXT)


async def test_what_was_moved_is_there_after_a_restart(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await fill(spine)
        await verified(spine, OTHER_FILES)
        await spine.switches.switch(KEY)
        await spine.append("short", event(9), CONTEXT)
        there = await look(spine)
    async with opener() as spine:
        assert spine.routes.get(KEY).config == OTHER_FILES.config
        assert await look(spine) == there
        await spine.append("short", event(10), CONTEXT)
        await spine.switches.wait_level(KEY)
        there = await look(spine)
        await spine.switches.reverse(KEY)
        assert await look(spine) == there
        await spine.switches.finish(KEY)
    async with opener() as spine:
        assert spine.routes.get(KEY).config == FILES.config
        assert await look(spine) == there


async def test_a_route_moves_back_later_onto_what_was_left_there(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await fill(spine)
        await verified(spine, OTHER_FILES)
        await spine.switches.switch(KEY)
        await spine.switches.finish(KEY)
        await spine.append("short", event(5), CONTEXT)
        there = await look(spine)
        await verified(spine, FILES)
        await spine.switches.switch(KEY)
        assert await look(spine) == there


async def rewrite(tables: TabularStoreService, first: int, times: int) -> None:
    """Write one row again and again, often enough that its journal is written anew."""
    for begin in range(first, first + times, 100):
        rows = [Operation("row", b'{"n":%d}' % n) for n in range(begin, begin + 100)]
        await tables.write("hot", rows)


async def test_a_plain_change_after_a_switch_is_served_where_it_leads(opener: Opener) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        await spine.append("chat", event(1), CONTEXT)
        await verified(spine, OTHER_FILES)
        await spine.switches.switch(KEY)
        await spine.append("chat", event(2), CONTEXT)
        await spine.switches.finish(KEY)
        await spine.append("chat", event(3), CONTEXT)
        await lead(spine, FILES)
        assert (await spine.head("chat", CONTEXT)).cursor.sequence == 2, "as it was left there"
        await spine.append("chat", event(4), CONTEXT)
        async with await spine.subscribe("chat", CONTEXT) as reader:
            piece = await reader.next()
            assert piece is not None
            assert len(piece.lines) == 3


async def test_a_wild_row_takes_with_it_what_it_serves_and_no_more(opener: Opener) -> None:
    kind = ResourceKind.EVENT_STREAM
    scopes: dict[str, Any] = {"resource_kind": kind, "env": "dev", "mode": "lab"}
    wild = RouteSpec(**scopes, tenant_id="*", project_id="*", **FILES.model_dump())
    exact = RouteSpec(**scopes, tenant_id="t_exact", **FILES.model_dump())
    async with opener() as spine:
        await spine.routes.create(wild)
        await spine.routes.create(exact)
        tenants = {
            name: RequestContext(tenant_id=name, env="dev", mode="lab", project_id=project)
            for name, project in (("t_a", "default"), ("t_b", "p"), ("t_exact", "default"))
        }
        for context in tenants.values():
            await spine.append_batch("chat", [event(1), event(2)], context)
        await verified(spine, OTHER_FILES, wild.key)
        await spine.switches.switch(wild.key)
        for context in tenants.values():
            await spine.append("chat", event(3), context)
            assert (await spine.head("chat", context)).cursor.sequence == 3
        at = {
            name: (await spine._bindings.of(context.scope)).host.name
            for name, context in tenants.items()
        }
        there, here = "filesystem:other", "filesystem:files"
        assert at == {"t_a": there, "t_b": there, "t_exact": here}
        store = next(h for h in spine._hosts if h.name == there).open_store()
        moved = [key for key in await store.keys("event_stream/") if key.endswith("/chat")]
        assert moved == ["event_stream/t_a/dev/_/chat", "event_stream/t_b/dev/_@p/chat"]


async def test_tables_and_their_versions_move(opener: Opener, direction: Direction) -> None:
    kind = ResourceKind.TABULAR_STORE
    key = key_of(kind)
    async with opener() as spine:
        await lead(spine, direction.source, kind)
        tables = spine.tables(CONTEXT)
        await rewrite(tables, 0, 1300)
        await tables.upsert("cold", "a", {"x": 1})
        await tables.upsert("cold", "b", {"x": 2})
        await tables.delete("cold", "a")
        await verified(spine, direction.target, key)
        await rewrite(tables, 1300, 1200)
        hot = await tables.get_row("hot", "row")
        await spine.switches.verify(key)
        await spine.switches.switch(key)
        assert await tables.get_row("hot", "row") == hot
        assert await tables.get("hot", "row") == {"n": 2499}
        assert await tables.get("cold", "a") is None
        assert [row.key for row in (await tables.page("cold")).rows] == ["b"]
        await rewrite(tables, 2500, 1200)
        hot = await tables.get_row("hot", "row")
        await spine.switches.reverse(key)
        assert await tables.get_row("hot", "row") == hot
        assert await tables.get("hot", "row") == {"n": 3699}


async def test_a_large_table_moves_while_it_is_written_anew(opener: Opener) -> None:
    """Its journal has a copy beside it, which moves with it."""
    kind, rows = ResourceKind.TABULAR_STORE, 5000
    key = key_of(kind)
    async with opener() as spine:
        await lead(spine, FILES, kind)
        tables = spine.tables(CONTEXT)
        done = 0

        async def write(times: int) -> None:
            nonlocal done
            for time in range(done, done + times):
                for begin in range(0, rows, 500):
                    names = range(begin, begin + 500)
                    await tables.write(
                        "big", [Operation(f"{n:05}", b'{"t":%d}' % time) for n in names]
                    )
            done += times

        await write(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, 3)
            await verified(spine, OTHER_FILES, key)
            await spine.switches.switch(key)
        await write(2)
        found = await tables.page("big", limit=rows)
        assert {row.json for row in found.rows} == {b'{"t":5}'}
        await spine.switches.verify(key)
        assert spine.switches.get(key).error is None
        await spine.switches.reverse(key)
        assert (await tables.page("big", limit=rows)).rows == found.rows
    async with opener() as spine:
        assert (await spine.tables(CONTEXT).page("big", limit=rows)).rows == found.rows


async def test_session_memory_and_budget_move(opener: Opener, direction: Direction) -> None:
    async with opener() as spine:
        for kind in (ResourceKind.MEMORY_STORE, ResourceKind.BUDGET_STORE):
            await lead(spine, direction.source, kind)
        await spine.memory(CONTEXT).set("k", {"v": 1})
        for kind in (ResourceKind.MEMORY_STORE, ResourceKind.BUDGET_STORE):
            await verified(spine, direction.target, key_of(kind))
            await spine.switches.switch(key_of(kind))
        assert await spine.memory(CONTEXT).get("k") == {"v": 1}


S = SwitchState
