"""The stores of a real server through the client, on asyncio, uvloop and trio."""

from __future__ import annotations

import uuid
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from eventspine.client import EventspineClient, RetryPolicy, ServerUnreachable
from eventspine.contracts.errors import (
    BudgetExceeded,
    EntryNotFound,
    InvalidRequest,
    MetricNotFound,
    NotAnInteger,
    ObjectNotFound,
    PreconditionFailed,
    ReservationEnded,
)
from eventspine.contracts.objects import Condition
from tests.client.cutting import Cutting
from tests.client.serving import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
RETRY = RetryPolicy(patience_s=20, first_s=0.02, longest_s=0.2)


@pytest.fixture
def name() -> str:
    return f"n-{uuid.uuid4()}"


async def test_tables(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        tables = client.tables
        assert await tables.get(name, "a/b") is None
        row = await tables.upsert(name, "a/b", {"é": [1, None]}, if_version=0)
        assert (row.key, row.data, row.version) == ("a/b", {"é": [1, None]}, 1)
        assert await tables.get_row(name, "a/b") == row
        with pytest.raises(PreconditionFailed):
            await tables.upsert(name, "a/b", 2, if_version=0)
        second = await tables.upsert(name, "..", 2, ttl_s=3600)
        assert second.expires_at is not None
        await tables.upsert(name, "a/b", 3, if_version=row.version)
        assert [one.key for one in await tables.list_by_prefix(name)] == ["..", "a/b"]
        page = await tables.page(name, limit=1)
        assert ([one.data for one in page.rows], page.next) == ([2], "..")
        with pytest.raises(PreconditionFailed):
            await tables.delete(name, "a/b", if_version=1)
        assert await tables.delete(name, "a/b")
        assert not await tables.delete(name, "a/b")


async def test_session_memory(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        memory = client.memory(name)
        entry = await memory.set("u1", {"cart": []}, 3600, sliding=True)
        assert (entry.value, entry.slide_s) == ({"cart": []}, 3600)
        found = await memory.get_entry("u1")
        assert found is not None
        assert (found.version, await memory.get("u1")) == (entry.version, {"cart": []})
        assert 3500 < (await memory.ttl("u1") or 0) <= 3600
        assert (await memory.touch("u1", None)).expires_at is None
        assert [await memory.incr("n"), await memory.incr("n", 41)] == [1, 42]
        with pytest.raises(NotAnInteger):
            await memory.incr("u1")
        assert [one.key for one in (await memory.scan("u")).entries] == ["u1"]
        assert await client.memory().get(name) is None
        assert [await memory.delete("u1"), await memory.delete("u1")] == [True, False]
        with pytest.raises(EntryNotFound):
            await memory.ttl("u1")


async def test_the_ledger(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        budget = client.budget
        await budget.set_limit(name, "total", 100, thresholds=[50])
        held = await budget.reserve(f"{name}1", f"{name}/web", 60, timeout_s=600)
        assert (held.kind, held.pending, held.crossed[0].threshold) == ("reserve", 60, 50)
        assert await budget.reserve(f"{name}1", f"{name}/web", 60, timeout_s=600) == held
        with pytest.raises(BudgetExceeded):
            await budget.reserve(f"{name}2", name, 41)
        assert (await budget.commit(held.id, 10)).posted == 10
        with pytest.raises(ReservationEnded):
            await budget.release(held.id)
        await budget.record(f"{name}3", name, 20)
        await budget.adjust(f"{name}4", name, -5, "counted twice")
        balance = await budget.balance(name)
        assert (balance.posted, balance.pending, balance.available) == (25, 0, 75)
        page = await budget.entries(name)
        assert [one.kind for one in page.entries] == ["reserve", "commit", "record", "adjust"]


async def test_metrics(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        metrics = client.metrics
        assert await metrics.get_latest(name) is None
        for n in range(10):
            tags = {"a,b": str(n % 2)}
            point = await metrics.ingest(name, n, tags=tags, source="s", ts=60 * n)
            assert (point.value, point.tags, point.source) == (n, tags, "s")
        assert await metrics.get_latest(name) == point
        found = await metrics.query(name, tags={"a,b": "0"}, start=0, limit=3)
        assert [one.value for one in found] == [4, 6, 8]
        assert len(await metrics.query(name, start=0, downsample=4)) == 4
        windows = await metrics.aggregate(name, "sum", start=0, end=600, step_s=300)
        assert [window.value for window in windows.windows] == [10, 35]
        grouped = await metrics.aggregate_by(name, "sum", ["a,b"], start=0, end=600, step_s=600)
        assert [(one.tags, one.windows[0].value) for one in grouped.groups] == [
            ({"a,b": "0"}, 20),
            ({"a,b": "1"}, 25),
        ]
        with pytest.raises(InvalidRequest):
            await metrics.aggregate(name, "median")
        with pytest.raises(MetricNotFound):
            await client.ask_store("GET", f"/v1/metrics/{name}-/latest")


async def test_objects(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        objects = client.objects
        stored = await objects.put_object(f"{name}/a", b"\0\xff", content_type="image/png")
        assert (stored.size, stored.content_type) == (2, "image/png")
        assert await objects.get_object(f"{name}/a") == b"\0\xff"
        with pytest.raises(PreconditionFailed):
            await objects.put_object(f"{name}/a", b"", condition=Condition(if_absent=True))
        await objects.put_object(f"{name}/a", b"2", condition=Condition(stored.etag))
        described = await objects.register_asset(f"{name}/a", {"alt": "a"})
        assert described.metadata == {"alt": "a"}
        assert [one.key for one in (await objects.page(name)).objects] == [f"{name}/a"]
        assert await objects.delete_object(f"{name}/a")
        assert not await objects.delete_object(f"{name}/a")
        with pytest.raises(ObjectNotFound):
            await objects.get_object(f"{name}/a")


async def test_only_what_is_the_same_twice_is_sent_twice(server: ServerProcess, name: str) -> None:
    """Answers get lost: nothing counts twice, and nothing is refused for having been stored."""
    transport = Cutting()
    async with (
        httpx.AsyncClient(transport=transport) as http,
        EventspineClient(server.url, retry=RETRY, http=http) as client,
    ):
        memory, tables, budget = client.memory(name), client.tables, client.budget

        transport.losses = 2
        assert (await tables.upsert(name, "k", 1)).data == 1
        transport.losses = 1
        assert (await budget.record(name, name, 5)).posted == 5
        assert (await budget.balance(name)).posted == 5

        for change in (
            lambda: memory.incr("n"),
            lambda: tables.upsert(name, "new", 1, if_version=0),
            lambda: client.metrics.ingest(name, 1),
            lambda: client.objects.put_object(name, b"", condition=Condition(if_absent=True)),
        ):
            transport.losses, before = 1, client.statistics().requests
            with pytest.raises(ServerUnreachable) as lost:
                await change()
            assert lost.value.fields["was_sent"]
            assert client.statistics().requests == before + 1
        assert await memory.get("n") == 1
        assert await tables.get(name, "new") == 1
        assert len(await client.metrics.query(name)) == 1
        assert await client.objects.get_object(name) == b""


async def test_what_never_ran_is_sent_when_the_server_is_back(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var") as server:
        async with EventspineClient(server.url, retry=RETRY) as client:
            memory = client.memory()
            assert await memory.incr("n") == 1
            await anyio.to_thread.run_sync(server.kill)
            async with anyio.create_task_group() as group:
                group.start_soon(memory.incr, "n")
                while not client.statistics().retries:  # noqa: ASYNC110 - progress, not time
                    await anyio.sleep(0.001)
                await anyio.to_thread.run_sync(server.start)
            assert await memory.get("n") == 2
