"""Spenders of one ledger: they reserve, commit, give up, record, and try again with the same ids.

A spender asks until it has an answer that settles the matter, whatever happens to the server in
between: so a spend may have been sent many times, and each must be in the ledger once. Some
reservations are never ended, as those of a client that died; they expire.
"""

from __future__ import annotations

import random
from typing import Any

import anyio
import httpx

from tests.torture.ledger_audit import Told

HELD = "/v1/budget/reservations"
UNITS = ("usd", "tokens")
TEAMS = ("org/web", "org/shop", "org/ops")
# hierarchical, in every window, and so narrow that most spends meet one
LIMITS: tuple[tuple[str, str, int], ...] = (
    ("org", "total", 4_000),
    ("org", "day", 3_000),
    ("org/web", "hour", 1_200),
    ("org/shop", "month", 900),
    ("org/web/u1", "total", 100),
    ("model/m", "total", 2_000),
)
POLICIES: tuple[tuple[str, str, int], ...] = (("org/ops", "total", 700), ("org", "month", 3_500))
PAUSE_S = 0.1  # before a request is sent again
AGAIN = (429, 502, 503, 504)


class Spender:
    """Args: name: what its ids begin with."""

    def __init__(self, client: httpx.AsyncClient, told: Told, rng: random.Random, name: str):
        self._client = client
        self._told = told
        self._rng = rng
        self._name = name
        self._count = 0
        self.retries = 0
        self.stopping = False

    async def run(self) -> None:
        while not self.stopping:
            await self.spend()

    async def spend(self) -> None:
        """One spend, to its end."""
        rng = self._rng
        self._count += 1
        body: dict[str, Any] = {
            "id": f"{self._name}-{self._count}",
            "accounts": self._accounts(),
            "amount": rng.choice([1, 5, 40, 200]),
            "unit": rng.choice(UNITS),
        }
        how = rng.random()
        if how < 0.3:
            await self._begin("record", "/v1/budget/records", body)
        elif how < 0.4:
            back = {**body, "amount": -body["amount"], "reason": "given back"}
            await self._begin("adjust", "/v1/budget/adjustments", back)
        else:
            timeout_s = rng.choice([0.2, 1.0, 600.0])
            held = await self._begin("reserve", HELD, {**body, "timeout_s": timeout_s})
            if held is not None and rng.random() < 0.85:  # else its client has died
                await self._end(held)

    def _accounts(self) -> list[str]:
        user = f"{self._rng.choice(TEAMS)}/u{self._rng.randrange(4)}"
        return [user, "model/m"] if self._rng.random() < 0.5 else [user]

    async def _begin(self, kind: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = await self._settled("POST", path, body)
        if answer is None:
            return None
        if answer.status_code == 402:
            self._told.refused.add(body["id"])
            return None
        entry: dict[str, Any] = answer.json()
        assert answer.status_code == 200, answer.text
        self._tell(kind, entry)
        if self._rng.random() < 0.1:  # once more, long after it was answered
            again = await self._settled("POST", path, body)
            assert again is None or again.json() == entry, (again.text, entry)
        return entry

    async def _end(self, held: dict[str, Any]) -> None:
        kind = self._rng.choice(["commit", "commit", "release"])
        amount = self._rng.choice([None, 0, held["pending"]]) if kind == "commit" else None
        body = {"amount": amount} if kind == "commit" else None
        answer = await self._settled("POST", f"{HELD}/{held['id']}/{kind}", body)
        if answer is None:
            return
        if answer.status_code == 409:
            assert answer.json()["code"] == "reservation_ended", answer.text
            assert answer.json()["state"] == "expired", "nobody else ends it"
            return
        assert answer.status_code == 200, answer.text
        self._tell(kind, answer.json())

    def _tell(self, kind: str, entry: dict[str, Any]) -> None:
        self._told.entries[kind, entry["id"]] = entry

    async def _settled(self, method: str, path: str, body: Any) -> httpx.Response | None:
        """The answer that settles it; None if the run ends before there is one."""
        while True:
            try:
                answer = await self._client.request(method, path, json=body)
                if answer.status_code not in AGAIN:
                    return answer
            except httpx.TransportError:
                pass
            if self.stopping:
                return None
            self.retries += 1
            await anyio.sleep(PAUSE_S)
