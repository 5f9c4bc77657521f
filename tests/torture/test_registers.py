"""The judges of the registers find stores that lose, double, mix or go back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from tests.torture.registers import (
    History,
    MemoryEntry,
    Metric,
    Register,
    Spending,
    StoredObject,
    TableRow,
    VectorPoint,
)

WRITES = 5


class BadStore:
    """Answers as the server does, from a dictionary; `planted` changes it behind the judge's back.

    A write after `WRITES` is taken or not, and not answered: the server has gone away.
    """

    def __init__(self, *, takes_the_last: bool) -> None:
        self.values: dict[str, bytes] = {}
        self.spent = 0
        self._takes_the_last = takes_the_last
        self._writes = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return self._read(request)
        if self._writes < WRITES or self._takes_the_last:
            self.values[request.url.path] = request.content
            self.spent += "records" in request.url.path
        self._writes += 1
        if self._writes > WRITES:
            raise httpx.ReadError("gone", request=request)
        return httpx.Response(200, json={})

    def _read(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/v1/budget/balance":
            return httpx.Response(200, json={"posted": self.spent})
        if path.endswith("/latest"):
            path = path.removesuffix("/latest")
        body = self.values.get(path)
        if body is None:
            return httpx.Response(404)
        if "/objects/" in path:
            return httpx.Response(200, content=body)
        value: Any = json.loads(body)
        if "/tables/" in path:
            value = {"data": value}
        elif "/memory/" in path:
            value = {"value": value}
        return httpx.Response(200, json=value)


ALL: list[Callable[[str], Register]] = [
    *(TableRow, MemoryEntry, Spending, Metric, StoredObject, VectorPoint)
]


async def judged(
    make: Callable[[str], Register], plant: Callable[[BadStore], None], *, takes_the_last: bool
) -> None:
    store, history = BadStore(takes_the_last=takes_the_last), History(make("w"))
    transport = httpx.MockTransport(store.handle)
    async with httpx.AsyncClient(base_url="http://store", transport=transport) as client:
        await history.judge(client, 0)
        await history.work(client)
        assert history.written == WRITES
        plant(store)
        await history.judge(client, 0)


def older(store: BadStore) -> None:
    """A write that was acknowledged is gone."""
    store.spent -= 2
    for path, body in store.values.items():
        store.values[path] = body.replace(b"%d" % WRITES, b"%d" % (WRITES - 2))


def newer(store: BadStore) -> None:
    """There is what nobody has written."""
    store.spent += 2
    for path, body in store.values.items():
        store.values[path] = body.replace(b"%d" % WRITES, b"%d" % (WRITES + 2))


def nothing(store: BadStore) -> None:
    store.spent = 0
    store.values.clear()


def untouched(store: BadStore) -> None:
    """As it was left."""


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("last", [True, False])
def test_the_last_one_acknowledged_or_the_one_under_way_is_right(
    make: Callable[[str], Register], last: bool
) -> None:
    async def main() -> None:
        await judged(make, untouched, takes_the_last=last)

    anyio.run(main)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("plant", [older, newer, nothing])
def test_a_store_that_lost_or_made_something_up_is_found(
    make: Callable[[str], Register], plant: Callable[[BadStore], None]
) -> None:
    async def main() -> None:
        await judged(make, plant, takes_the_last=False)

    with pytest.raises(AssertionError, match="is there;"):
        anyio.run(main)


def test_an_object_of_two_writes_is_found() -> None:
    def mixed(store: BadStore) -> None:
        for path, body in store.values.items():
            store.values[path] = body[:4000] + b"%08d" % (WRITES - 1) * 500

    async def main() -> None:
        await judged(StoredObject, mixed, takes_the_last=False)

    with pytest.raises(AssertionError, match="a mix of two"):
        anyio.run(main)
