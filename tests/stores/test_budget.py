"""Budgets behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine import RequestContext, Spine
from eventspine.contracts.budget import Balance, Entry
from eventspine.contracts.context import RequestContext as Context
from eventspine.contracts.errors import (
    BudgetConflict,
    BudgetExceeded,
    InvalidId,
    InvalidRequest,
    NoRouteConfigured,
    ReservationEnded,
    ReservationNotFound,
)
from eventspine.contracts.route import RouteKey, RouteSpec
from eventspine.services.budget import BudgetStoreService
from eventspine.services.budget_policy import get_budget_policy_repo
from tests.stores.conftest import CONTEXT, LAB, Opener

pytestmark = pytest.mark.anyio
SEED = 20261124
SPENDERS = 64
ANN = "acme/web/ann"


def clock(spine: Spine, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what time it is for the journals of a spine."""

    def set_to(time: str) -> None:
        monkeypatch.setattr(spine._journals, "now", lambda: time)

    return set_to


async def all_entries(budget: BudgetStoreService, account: str | None = None) -> list[Entry]:
    found: list[Entry] = []
    after: int | None = 0
    while after is not None:
        page = await budget.entries(account, after, 100)
        found += page.entries
        after = page.next
    return found


async def test_reserve_commit_release_record_adjust(opener: Opener) -> None:
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        await budget.set_limit("acme", "month", 100)
        held = await budget.reserve("1", ANN, 40, 60)
        assert (held.kind, held.pending, held.posted) == ("reserve", 40, 0)
        month = await budget.balance("acme", "month")
        assert (month.posted, month.pending, month.available) == (0, 40, 60)
        done = await budget.commit("1", 25)
        assert (done.posted, done.pending) == (25, -40)
        await budget.reserve("2", ANN, 75, 60)
        await budget.release("2")
        await budget.record("3", "acme/web", 70)
        with pytest.raises(BudgetExceeded) as refused:
            await budget.record("4", "acme/shop", 6)
        fields = {"limit": 100, "window": "month", "account": "acme", "unit": "usd", "available": 5}
        fields["source"] = "ledger"
        assert refused.value.fields == fields
        await budget.adjust("5", ANN, -20, "billed twice")
        await budget.record("4", "acme/shop", 6)
        assert (await budget.balance("acme")).posted == 25 + 70 - 20 + 6
        assert (await budget.balance(ANN)).posted == 25 - 20
        assert (await budget.balance("acme", unit="tokens")).posted == 0
        kinds = [entry.kind for entry in await all_entries(budget, ANN)]
        assert kinds == ["reserve", "commit", "reserve", "release", "adjust"]
        assert [held.limit.account for held in await budget.limits()] == ["acme"]
        await budget.set_limit("acme", "month", None)
        assert await budget.limits("acme") == []
        await budget.record("6", "acme", 1_000_000)


async def test_the_same_call_gets_the_first_answer_and_another_one_is_refused(
    opener: Opener,
) -> None:
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        held = await budget.reserve("1", ANN, 40, 60)
        done = await budget.commit("1", 40)
        assert await budget.reserve("1", ANN, 40, 60.0) == held
        assert await budget.commit("1") == done, "all of it is the same amount"
        for wrong in (
            budget.reserve("1", ANN, 41, 60),
            budget.reserve("1", "acme", 40, 60),
            budget.reserve("1", ANN, 40, 61),
            budget.reserve("1", ANN, 40, 60, unit="tokens"),
            budget.record("1", ANN, 40),
            budget.commit("1", 39),
        ):
            with pytest.raises(BudgetConflict):
                await wrong
        with pytest.raises(ReservationEnded) as ended:
            await budget.release("1")
        assert ended.value.fields["state"] == "committed"
        with pytest.raises(ReservationNotFound):
            await budget.commit("2")
        assert len(await all_entries(budget)) == 2
        elsewhere = CONTEXT.model_copy(update={"surface_id": "other"})
        assert (await spine.budget(elsewhere).record("1", ANN, 7)).posted == 7
        assert (await budget.balance(ANN)).posted == 40, "an id is of its scope"


async def test_every_limit_of_every_level_and_window_holds(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener() as spine:
        budget, set_to = spine.budget(CONTEXT), clock(spine, monkeypatch)
        set_to("2026-01-31T22:59:59.999Z")
        await budget.set_limit(ANN, "hour", 10)
        await budget.set_limit("acme/web", "day", 15)
        await budget.set_limit("acme", "month", 18)
        await budget.set_limit("acme", "total", 30)
        await budget.record("1", ANN, 10)
        with pytest.raises(BudgetExceeded, match=f"{ANN} in its hour"):
            await budget.record("2", ANN, 1)
        set_to("2026-01-31T23:00:00.000Z")
        await budget.record("2", ANN, 5)
        with pytest.raises(BudgetExceeded, match="acme/web in its day"):
            await budget.record("3", ANN, 1)
        await budget.record("3", "acme", 3)
        with pytest.raises(BudgetExceeded, match="acme in its month"):
            await budget.record("4", "acme", 1)
        set_to("2026-02-01T00:00:00.000Z")
        await budget.record("4", ANN, 10)
        with pytest.raises(BudgetExceeded, match="acme in its total"):
            await budget.record("5", "acme/shop", 3)
        balance = await budget.balance("acme", "month")
        assert (balance.period, balance.posted, balance.available) == ("2026-02", 10, 8)


async def test_a_spend_on_two_accounts_needs_room_in_both(opener: Opener) -> None:
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        await budget.set_limit("models/large", "total", 5, unit="tokens")
        both = [ANN, "models/large"]
        await budget.reserve("1", both, 5, unit="tokens")
        with pytest.raises(BudgetExceeded):
            await budget.reserve("2", both, 1, unit="tokens")
        assert (await budget.balance("acme", unit="tokens")).pending == 5


async def test_a_reservation_expires_by_the_time_and_counts_where_it_was_made(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener() as spine:
        budget, set_to = spine.budget(CONTEXT), clock(spine, monkeypatch)
        set_to("2026-03-01T10:59:00.000Z")
        await budget.set_limit("acme", "total", 10)
        await budget.reserve("1", "acme", 6, 90)
        await budget.reserve("2", "acme", 4, 3600)
        set_to("2026-03-01T11:00:29.999Z")
        assert (await budget.balance("acme")).pending == 10
        set_to("2026-03-01T11:00:30.000Z")
        assert (await budget.balance("acme")).pending == 4
        with pytest.raises(ReservationEnded) as ended:
            await budget.commit("1")
        assert ended.value.fields["state"] == "expired"
        expired = (await all_entries(budget))[-1]
        assert (expired.kind, expired.id, expired.pending) == ("expire", "1", -6)
        done = await budget.commit("2", 3)
        assert done.charged_at == "2026-03-01T10:59:00.000Z"
        assert (await budget.balance("acme", "hour")).posted == 0
        assert (await budget.balance("acme", "day")).posted == 3
        await budget.record("3", "acme", 7)


async def test_marks_are_answered_and_become_events_once(opener: Opener) -> None:
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        await budget.set_limit("acme", "day", 10, 9)
        assert (await budget.record("1", ANN, 4)).crossed == ()
        crossed = (await budget.record("2", ANN, 5)).crossed
        assert [one.threshold for one in crossed] == [50, 80, "soft"]
        assert (await budget.record("2", ANN, 5)).crossed == crossed
        someone = CONTEXT.model_copy(update={"user_id": "someone"})
        assert (await spine.budget(someone).record("2", ANN, 5)).crossed == crossed
        page = await spine.list_after("budget_events", None, CONTEXT)
        events = [event.payload for event in page.events]
        assert [event["threshold"] for event in events] == [50, 80, "soft"]
        assert {event["account"] for event in events} == {"acme"}
        assert {event["id"] for event in events} == {"2"}


async def test_no_event_stream_no_events_and_the_spend_is_done(opener: Opener) -> None:
    async with opener() as spine:
        await spine.routes.delete(RouteKey("event_stream", "t_demo", "dev", "default", "lab"))
        budget = spine.budget(CONTEXT)
        await budget.set_limit("acme", "day", 10)
        assert (await budget.record("1", "acme", 10)).crossed
        assert (await budget.balance("acme")).posted == 10


async def test_what_cannot_be_is_refused_and_changes_nothing(opener: Opener) -> None:
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        anything: Any = budget
        refused: list[tuple[type[Exception], Any]] = [
            (InvalidRequest, anything.record("1", "a", 1.0)),
            (InvalidRequest, anything.record("1", "a", True)),
            (InvalidRequest, budget.record("1", "a", 0)),
            (InvalidRequest, budget.reserve("1", "a", -1)),
            (InvalidRequest, budget.record("1", "a", 2**53)),
            (InvalidId, budget.record("", "a", 1)),
            (InvalidId, budget.record("1", "a//b", 1)),
            (InvalidId, budget.record("1", "/".join("abcdefghi"), 1)),
            (InvalidRequest, budget.record("1", [], 1)),
            (InvalidRequest, budget.reserve("1", "a", 1, 0)),
            (InvalidRequest, budget.reserve("1", "a", 1, float("nan"))),
            (InvalidRequest, budget.adjust("1", "a", 1, "")),
            (InvalidRequest, budget.adjust("1", "a", 0, "why")),
            (InvalidRequest, budget.set_limit("a", "year", 1)),
            (InvalidRequest, budget.set_limit("a", "day", 1, thresholds=[0])),
            (InvalidRequest, budget.balance("a", "week")),
            (InvalidRequest, budget.entries(limit=0)),
        ]
        for error, call in refused:
            with pytest.raises(error):
                await call
        assert await all_entries(budget) == []
        assert await budget.limits() == []
        other = RequestContext(tenant_id="t_away", env="dev", mode="lab")
        with pytest.raises(NoRouteConfigured, match="No route configured for budget_store"):
            await spine.budget(other).balance("a")


async def test_a_restart_between_any_two_steps(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    steps: list[Callable[[BudgetStoreService], Any]] = [
        lambda budget: budget.set_limit("acme", "total", 10),
        lambda budget: budget.reserve("1", ANN, 8),
        lambda budget: budget.commit("1", 5),
        lambda budget: budget.record("2", ANN, 2),
        lambda budget: budget.adjust("3", "acme", -1, "rounded"),
    ]
    answers = []
    for step in steps:
        async with opener() as spine:
            answers.append(await step(spine.budget(CONTEXT)))
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        again = [await step(budget) for step in steps]
        assert again == answers, "retries after crashes get the first answers"
        with pytest.raises(BudgetExceeded):
            await budget.record("4", ANN, 5)
        assert (await budget.balance("acme")).posted == 6
    lines = (tmp_path / "budget_store/t_demo/dev/_/ledger.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["sequence"] for line in found] == [1, 2, 3, 4, 5]
    assert sum(line.get("posted", 0) for line in found) == 6


class Spenders:
    """64 at once, each with its own spends, which it does again and again, in any order."""

    limits = (("acme", "total", 240), ("acme/p1", "day", 60), ("acme/p2/u5", "total", 12))

    def __init__(self, opener: Opener, seed: int) -> None:
        self.opener = opener
        self.random = random.Random(seed)
        self.answers: dict[tuple[str, str], Entry] = {}
        self.refused: Counter[str] = Counter()

    async def round(self, number: int) -> list[Balance]:
        """One life of the spine; some of what earlier ones did is tried again."""
        async with self.opener() as spine:
            budget = spine.budget(CONTEXT)
            for account, window, amount in self.limits:
                await budget.set_limit(account, window, amount)
            async with anyio.create_task_group() as tasks:
                for spender in range(SPENDERS):
                    tasks.start_soon(self.spender, budget, number, spender)
                for _ in range(4):
                    tasks.start_soon(self.watch, budget)
            await self.watch(budget)
            await self.audit(budget)
            return [await budget.balance(account, window) for account, window, _ in self.limits]

    async def spender(self, budget: BudgetStoreService, number: int, spender: int) -> None:
        account = f"acme/p{spender % 4}/u{spender % 16}"
        for n in range(3):
            id, amount = f"{number}-{spender}-{n}", self.random.randint(1, 9)
            for again in range(self.random.randint(1, 3)):  # retries of the same call
                if not await self.spend(budget, id, account, amount, one_phase=n == 2):
                    break
                if n != 2 and again:
                    await self.end(budget, id, amount)
            if number and self.random.random() < 0.5:  # what another life was told
                await self.repeat(budget)

    async def spend(
        self, budget: BudgetStoreService, id: str, account: str, amount: int, *, one_phase: bool
    ) -> bool:
        try:
            if one_phase:
                entry = await budget.record(id, account, amount)
            else:
                entry = await budget.reserve(id, account, amount, 86_400)
        except BudgetExceeded as refused:
            assert ("begin", id) not in self.answers, "what was admitted stays so"
            self.refused[str(refused.fields["account"])] += 1
            return False
        assert entry == self.answers.setdefault(("begin", id), entry)
        return True

    async def end(self, budget: BudgetStoreService, id: str, amount: int) -> None:
        if ("end", id) in self.answers:
            assert (
                await budget.commit(id, self.answers["end", id].posted) == self.answers["end", id]
            )
        else:
            self.answers["end", id] = await budget.commit(id, self.random.randint(0, amount))

    async def repeat(self, budget: BudgetStoreService) -> None:
        known = self.answers[self.random.choice(sorted(self.answers))]
        if known.kind == "record":
            assert await budget.record(known.id, known.accounts, known.posted) == known
        elif known.kind == "reserve":
            again = await budget.reserve(known.id, known.accounts, known.pending, 86_400)
            assert again == known
        else:
            assert await budget.commit(known.id, known.posted) == known

    async def watch(self, budget: BudgetStoreService) -> None:
        for account, window, amount in self.limits:
            found = await budget.balance(account, window)
            used = found.posted + found.pending
            assert used <= amount, f"{account} {window}, seed {SEED}"

    async def audit(self, budget: BudgetStoreService) -> None:
        """The sum of the ledger is the balance, for everybody; and it is what was answered."""
        entries = await all_entries(budget)
        assert {(("end" if e.kind == "commit" else "begin"), e.id): e for e in entries} == (
            self.answers
        )
        for account in ("acme", "acme/p1", "acme/p2/u5", "acme/p2/u6"):
            of_it = [
                entry
                for entry in entries
                if entry.accounts[0] == account or entry.accounts[0].startswith(f"{account}/")
            ]
            assert of_it == await all_entries(budget, account)
            balance = await budget.balance(account)
            assert sum(entry.posted for entry in of_it) == balance.posted
            assert sum(entry.pending for entry in of_it) == balance.pending


async def test_64_spenders_with_retries_and_restarts_never_pass_a_limit(
    opener: Opener, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On memory one life; on files three, between which the spine is opened again."""
    monkeypatch.setattr("eventspine.services.journals.Journals.now", lambda _: NOW)
    spenders = Spenders(opener, SEED)
    for number in range(1 if backend == "memory" else 3):
        balances = await spenders.round(number)
        for one in balances:
            assert one.posted + one.pending <= (one.limit or 0)
    assert sum(spenders.refused.values()) > 0, f"the limits were reached, seed {SEED}"


NOW = "2026-05-05T12:00:00.000Z"


async def test_policies_belong_to_the_system_tenant(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener() as spine:
        policies = get_budget_policy_repo(spine, CONTEXT)
        await spine.routes.delete(RouteKey("tabular_store", "t_system", "*", "*", "lab"))
        with pytest.raises(RuntimeError, match=r"^No route configured for tabular_store$"):
            await policies.get("p1")
        spec: dict[str, Any] = {**LAB.model_dump(), "tenant_id": "t_system"}
        await spine.routes.create(
            RouteSpec(resource_kind="tabular_store", backend_type=backend, **spec)  # type: ignore[arg-type]
        )
        row = await policies.upsert("p1", {"limit": 5}, if_version=0)
        await policies.upsert("q", {})
        assert await policies.get("p1") == {"limit": 5}
        assert await policies.get("p2") is None
        assert [one.key for one in await policies.list("p")] == ["p1"]
        surface: Context = CONTEXT.model_copy(update={"tenant_id": "t_b", "surface_id": "squared2"})
        assert await spine.budget_policies(surface).get_row("p1") == row, "one for all tenants"
        system = CONTEXT.model_copy(update={"tenant_id": "t_system"})
        assert await spine.tables(system).get("policies", "p1") == {"limit": 5}
        assert await policies.delete("p1", if_version=row.version)
        assert not await policies.delete("p1")
    if backend == "filesystem":
        assert (tmp_path / "tabular_store/t_system/dev/_/policies.jsonl").exists()
