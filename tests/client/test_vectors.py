"""The vectors of a real server through the client, on asyncio, uvloop and trio."""

from __future__ import annotations

import uuid

import httpx
import pytest

from eventspine.client import EventspineClient, RetryPolicy
from eventspine.contracts.errors import (
    CollectionConflict,
    CollectionNotFound,
    InvalidRequest,
    InvalidVector,
)
from eventspine.contracts.vector_index import IndexState
from eventspine.contracts.vectors import Metric
from tests.client.cutting import Cutting
from tests.client.serving import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
RETRY = RetryPolicy(patience_s=20, first_s=0.02, longest_s=0.2)


@pytest.fixture
def name() -> str:
    return f"n-{uuid.uuid4()}"


async def test_the_life_of_a_collection(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        vectors = client.vectors
        made = await vectors.create_collection(name, 2, "l2")
        assert (made.collection, made.dimensions, made.metric, made.count) == (
            name,
            2,
            Metric.L2,
            0,
        )
        assert await vectors.create_collection(name, 2, "l2") == made
        with pytest.raises(CollectionConflict):
            await vectors.create_collection(name, 3, "l2")
        a = await vectors.upsert(name, "a/b", [0.1, 0], {"é": [1, None]})
        assert (a.id, a.version, a.metadata) == ("a/b", 2, {"é": [1, None]})
        assert 0 < abs(a.values[0] - 0.1) < 1e-8, "as float32, which is what is kept"
        rest = [(id, [n, 1], {"n": n}) for n, id in enumerate(["..", "c"])]
        assert [one.id for one in await vectors.upsert_many(name, rest)] == ["..", "c"]
        found = await vectors.get(name, "a/b")
        assert found is not None
        assert (found.values, found.metadata, found.version) == (a.values, a.metadata, a.version)
        assert await vectors.get(name, "z") is None
        near = await vectors.search(name, [0, 0], 2)
        assert [(one.id, one.distance) for one in near] == [("a/b", a.values[0]), ("..", 1.0)]
        assert (near.exact, near.engine) == (True, "numpy")
        only = await vectors.search(name, (0, 0), filter={"n": {"gte": 1}}, exact=True)
        assert [one.point.metadata for one in only] == [{"n": 1}]
        assert (await vectors.index(name)).state is IndexState.NONE
        await vectors.rebuild_index(name)
        assert await vectors.count(name) == 3
        assert [await vectors.delete(name, ".."), await vectors.delete(name, "..")] == [True, False]
        assert (await vectors.collection(name)).count == 2
        assert await vectors.delete_collection(name)
        assert not await vectors.delete_collection(name)
        with pytest.raises(CollectionNotFound):
            await vectors.search(name, [1])


async def test_what_is_wrong_is_said(server: ServerProcess, name: str) -> None:
    async with EventspineClient(server.url, retry=RETRY) as client:
        vectors = client.vectors
        await vectors.create_collection(name, 2)
        for wrong in ([1], [float("nan"), 1], [1e16, 0], ["x", 1]):
            with pytest.raises(InvalidVector):
                await vectors.upsert(name, "a", wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidVector, match="vector 1"):
            await vectors.upsert_many(name, [("a", [1, 1], None), ("b", [1, float("inf")], None)])
        with pytest.raises(InvalidRequest):
            await vectors.search(name, [1, 1], filter={"a": {"like": 1}})
        assert await vectors.count(name) == 0


async def test_lost_answers_change_nothing(server: ServerProcess, name: str) -> None:
    transport = Cutting()
    async with (
        httpx.AsyncClient(transport=transport) as http,
        EventspineClient(server.url, retry=RETRY, http=http) as client,
    ):
        vectors = client.vectors
        transport.losses = 1
        await vectors.create_collection(name, 1, "dot")
        transport.losses = 1
        await vectors.upsert(name, "a", [1])
        transport.losses = 2
        await vectors.upsert_many(name, [("b", [2], None), ("c", [3], None)])
        transport.losses = 1
        assert [one.id for one in await vectors.search(name, [1])] == ["c", "b", "a"]
        assert client.statistics().retries == 5
