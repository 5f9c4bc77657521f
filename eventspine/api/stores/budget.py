"""The endpoints of budgets: limits, spends in one phase or two, balances, the ledger.

What an account is asked about is in the query, because a path of names has slashes in it. A call
that is sent again gets the entry that the first one wrote, with the same status.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.json_body import decoded
from eventspine.api.service import SpineService
from eventspine.contracts.budget import THRESHOLDS, UNIT, Entry
from eventspine.contracts.errors import InvalidRequest
from eventspine.services.budget import TIMEOUT_S, BudgetStoreService

B = TypeVar("B")


class _Limit(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    window: str
    amount: int | None = None
    soft: int | None = None
    unit: str = UNIT
    thresholds: tuple[int, ...] = THRESHOLDS


class _Reservation(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    accounts: str | list[str]
    amount: int
    timeout_s: float = TIMEOUT_S
    unit: str = UNIT


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    accounts: str | list[str]
    amount: int
    unit: str = UNIT


class _Adjustment(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    accounts: str | list[str]
    amount: int
    reason: str
    unit: str = UNIT


class _Commit(msgspec.Struct, forbid_unknown_fields=True):
    amount: int | None = None


_limit = msgspec.json.Decoder(_Limit)
_reservation = msgspec.json.Decoder(_Reservation)
_record = msgspec.json.Decoder(_Record)
_adjustment = msgspec.json.Decoder(_Adjustment)
_commit = msgspec.json.Decoder(_Commit)


class BudgetEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    def routes(self) -> list[BaseRoute]:
        held = "/v1/budget/reservations"
        return [
            RawRoute("/v1/budget/limits", {"GET": self.limits, "PUT": self.set_limit}),
            RawRoute(held, {"POST": self.reserve}),
            RawRoute(f"{held}/{{reservation_id}}/commit", {"POST": self.commit}),
            RawRoute(f"{held}/{{reservation_id}}/release", {"POST": self.release}),
            RawRoute("/v1/budget/records", {"POST": self.record}),
            RawRoute("/v1/budget/adjustments", {"POST": self.adjust}),
            RawRoute("/v1/budget/balance", {"GET": self.balance}),
            RawRoute("/v1/budget/entries", {"GET": self.entries}),
        ]

    async def set_limit(self, call: Call) -> ASGIApp:
        budget = self._budget(call)
        one = await self._read(call, _limit)
        limit = await budget.set_limit(
            one.account,
            one.window,
            one.amount,
            one.soft,
            unit=one.unit,
            thresholds=one.thresholds,
        )
        return json_answer(200, limit.as_json(), [NO_STORE])

    async def limits(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["account"])
        limits = await self._budget(call).limits(values.get("account"))
        return json_answer(200, {"limits": [one.as_json() for one in limits]}, [NO_STORE])

    async def reserve(self, call: Call) -> ASGIApp:
        budget = self._budget(call)
        one = await self._read(call, _reservation)
        return _entry(
            await budget.reserve(one.id, one.accounts, one.amount, one.timeout_s, unit=one.unit)
        )

    async def commit(self, call: Call) -> ASGIApp:
        budget = self._budget(call)
        one = await self._read(call, _commit)
        return _entry(await budget.commit(call.parameters["reservation_id"], one.amount))

    async def release(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        return _entry(await self._budget(call).release(call.parameters["reservation_id"]))

    async def record(self, call: Call) -> ASGIApp:
        budget = self._budget(call)
        one = await self._read(call, _record)
        return _entry(await budget.record(one.id, one.accounts, one.amount, unit=one.unit))

    async def adjust(self, call: Call) -> ASGIApp:
        budget = self._budget(call)
        one = await self._read(call, _adjustment)
        return _entry(
            await budget.adjust(one.id, one.accounts, one.amount, one.reason, unit=one.unit)
        )

    async def balance(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["account", "window", "unit"])
        if "account" not in values:
            raise InvalidRequest("account is missing", parameter="account")
        window, unit = values.get("window", "total"), values.get("unit", UNIT)
        balance = await self._budget(call).balance(values["account"], window, unit=unit)
        return json_answer(200, balance.as_json(), [NO_STORE])

    async def entries(self, call: Call) -> ASGIApp:
        values = query.parsed(call.query, ["account", "after", "limit"])
        limit = query.whole_number(values, "limit", 1) or self._limits.page_events_default
        after = query.whole_number(values, "after", 0) or 0
        page = await self._budget(call).entries(values.get("account"), after, limit)
        found = [entry.as_json() for entry in page.entries]
        return json_answer(200, {"entries": found, "next": page.next}, [NO_STORE])

    def _budget(self, call: Call) -> BudgetStoreService:
        return self._spine.budget(self._contexts.read(call.fields, call.request_id))

    async def _read(self, call: Call, decoder: msgspec.json.Decoder[B]) -> B:
        """The body, decoded. Raises InvalidJson, InvalidRequest, TooLarge."""
        query.parsed(call.query, ())
        negotiation.require_json(call.fields)
        body = await read_body(call.receive, call.fields, self._limits.body_bytes_max)
        return decoded(decoder, body)


def _entry(entry: Entry) -> ASGIApp:
    return json_answer(200, entry.as_json(), [NO_STORE])
