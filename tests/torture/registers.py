"""Every kind of store as a register: what was written last is what is read, whatever is killed.

A worker writes 1, 2, 3 … to a place of its own and never begins a number before the one before it
was acknowledged, unless the server went away. So what is there afterwards is the last number that
was acknowledged, or the one that was under way: nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import httpx


class Register(Protocol):
    """One place of one worker in one kind of store."""

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response: ...
    async def read(self, client: httpx.AsyncClient) -> int: ...


@dataclass
class TableRow:
    name: str

    @property
    def _address(self) -> str:
        return f"/v1/tables/t{len(self.name) % 3}/rows/{self.name}"

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        return await client.put(self._address, json={"n": number})

    async def read(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(self._address)
        if answer.status_code == 404:
            return 0
        answer.raise_for_status()
        return int(answer.json()["data"]["n"])


@dataclass
class MemoryEntry:
    name: str

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        return await client.put(f"/v1/memory/session/entries/{self.name}", json=number)

    async def read(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(f"/v1/memory/session/entries/{self.name}")
        if answer.status_code == 404:
            return 0
        answer.raise_for_status()
        return int(answer.json()["value"])


@dataclass
class Spending:
    """The number is how much was spent: one unit under an id of its own each time."""

    name: str

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        spend = {"id": f"{self.name}-{number}", "accounts": [self.name], "amount": 1}
        return await client.post("/v1/budget/records", json={**spend, "unit": "calls"})

    async def read(self, client: httpx.AsyncClient) -> int:
        asked = {"account": self.name, "window": "total", "unit": "calls"}
        answer = await client.get("/v1/budget/balance", params=asked)
        answer.raise_for_status()
        return int(answer.json()["posted"])


@dataclass
class Metric:
    name: str

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        return await client.post(f"/v1/metrics/{self.name}", json={"value": number})

    async def read(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(f"/v1/metrics/{self.name}/latest")
        if answer.status_code == 404:
            return 0
        answer.raise_for_status()
        return int(answer.json()["value"])


@dataclass
class StoredObject:
    """Bytes that say their number all over, so that no two numbers can be mixed unseen.

    Large and small in turns: synced by themselves, and with the log.
    """

    name: str

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        content = b"%08d" % number * self.times_of(number)
        return await client.put(f"/v1/objects/{self.name}", content=content)

    async def read(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(f"/v1/objects/{self.name}")
        if answer.status_code == 404:
            return 0
        answer.raise_for_status()
        number = int(answer.content[:8])
        assert answer.content == b"%08d" % number * self.times_of(number), "a mix of two"
        return number

    def times_of(self, number: int) -> int:
        return 9000 if number % 2 else 1000


@dataclass
class UploadedObject(StoredObject):
    """The same in two parts, the second one first."""

    def __post_init__(self) -> None:
        self.name = f"parts-{self.name}"

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        at, data, listed = f"/v1/objects/{self.name}/uploads", b"%08d" % number * 1000, []
        upload = await client.post(at, json={})
        if upload.status_code != 201:
            return upload
        at += f"/{upload.json()['upload_id']}"
        for part, piece in ((2, data[3000:]), (1, data[:3000])):
            answer = await client.put(f"{at}/parts/{part}", content=piece)
            if answer.status_code != 200:
                return answer
            listed.append({"number": part, "sha256": answer.json()["sha256"]})
        return await client.post(f"{at}/complete", json={"parts": listed[::-1]})

    def times_of(self, number: int) -> int:
        return 1000


@dataclass
class VectorPoint:
    name: str

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        point = {"vector": [1.0, float(number)], "metadata": {"n": number}}
        answer = await client.put(f"/v1/vectors/c/points/{self.name}", json=point)
        if answer.status_code == 404:  # the first one
            await client.put("/v1/vectors/c", json={"dimensions": 2})
            answer = await client.put(f"/v1/vectors/c/points/{self.name}", json=point)
        return answer

    async def read(self, client: httpx.AsyncClient) -> int:
        answer = await client.get(f"/v1/vectors/c/points/{self.name}")
        if answer.status_code == 404:
            return 0
        answer.raise_for_status()
        found = answer.json()
        assert found["vector"] == [1.0, float(found["metadata"]["n"])]
        return int(found["metadata"]["n"])


@dataclass
class Seen:
    """The number is how many events a user has: one under an id of its own each time."""

    name: str

    async def write(self, client: httpx.AsyncClient, number: int) -> httpx.Response:
        event = {
            "event": "seen",
            "event_id": f"{self.name}-{number}",
            "user_id": self.name,
            "properties": {"n": number},
        }
        return await client.post("/v1/analytics/seen/events", json=event)

    async def read(self, client: httpx.AsyncClient) -> int:
        question = {
            "fields": {"user_id": self.name},
            "measures": [{"measure": "count"}, {"measure": "max", "property": "n", "as": "last"}],
        }
        answer = await client.post("/v1/analytics/seen/query", json=question)
        answer.raise_for_status()
        rows = answer.json()["rows"]
        count, last = rows[0] if rows else (0, None)
        assert count == (last or 0), f"{count} events, and the last one is {last}"
        return int(count)


@dataclass
class History:
    """What one worker did. `acked` is in the store; `begun` may be."""

    register: Register
    acked: int = 0
    begun: int = 0
    written: int = 0  # acknowledged, over all lives of the server

    async def work(self, client: httpx.AsyncClient) -> None:
        """Write until the server goes away."""
        while True:
            self.begun = self.acked + 1
            try:
                answer = await self.register.write(client, self.begun)
            except httpx.TransportError:
                return
            if answer.status_code in (429, 503):
                return
            assert answer.is_success, (answer.status_code, answer.text)
            self.acked = self.begun
            self.written += 1

    async def judge(self, client: httpx.AsyncClient, seed: int) -> None:
        """Read what is there. Raises AssertionError: it is not what was promised."""
        wrong = self.verdict(await self.register.read(client))
        assert not wrong, f"seed {seed}: {self.register}: {wrong}"

    def verdict(self, found: int) -> str:
        """What is wrong with finding this number; nothing, and it is where the worker goes on."""
        if found not in {self.acked, self.begun}:
            return f"{found} is there; {self.acked} was acknowledged, {self.begun} under way"
        self.acked = self.begun = found
        return ""
