"""Budget policies limit ledgers: the most specific one, from its answer on, and it says which."""

from __future__ import annotations

import random
import time
from typing import Any

import orjson
import pytest
from anyio import create_task_group

from eventspine import RequestContext, Spine
from eventspine.contracts.budget_policy import PolicySet, policy_of
from eventspine.contracts.context import Scope
from eventspine.contracts.entries import later
from eventspine.contracts.errors import (
    BudgetExceeded,
    EventspineError,
    InvalidId,
    InvalidRequest,
    StoreUnavailable,
)
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.rows import Row
from tests.stores.conftest import CONTEXT, Opener

OTHER = RequestContext(tenant_id="t_other", env="dev", mode="lab")
NOW = "2026-11-24T10:00:00.000Z"


async def routes(spine: Spine, backend: str) -> None:
    """Tables of the system tenant, and a budget for another tenant."""
    for kind, tenant in (("tabular_store", "t_system"), ("budget_store", "t_other")):
        await spine.routes.create(
            RouteSpec(
                resource_kind=ResourceKind(kind),
                tenant_id=tenant,
                env="dev",
                mode="lab",
                backend_type=backend,
            )
        )


def month(amount: int | None, **more: Any) -> dict[str, Any]:
    return {"account": "acme", "window": "month", "amount": amount, **more}


@pytest.mark.anyio
async def test_a_policy_limits_every_tenant_from_its_answer_on(
    opener: Opener, backend: str
) -> None:
    async with opener() as spine:
        await spine.budget(CONTEXT).record("before", "acme", 50)
        await routes(spine, backend)
        policies = spine.budget_policies(CONTEXT)
        await policies.upsert("p1", month(100, soft=60))
        for context in (CONTEXT, OTHER):
            budget = spine.budget(context)
            with pytest.raises(BudgetExceeded) as refused:
                await budget.record("much", "acme/web", 101)
            assert refused.value.fields["source"] == "policy"
            assert refused.value.fields["policy_id"] == "p1"
            assert refused.value.fields["limit"] == 100
        entry = await spine.budget(CONTEXT).record("a", "acme/web", 50)
        assert [crossed.threshold for crossed in entry.crossed] == [50, "soft", 80, 100]
        await policies.upsert("p1", month(101))
        await spine.budget(CONTEXT).record("b", "acme", 1)
        with pytest.raises(BudgetExceeded):
            await spine.budget(CONTEXT).record("c", "acme", 1)
        await policies.delete("p1")
        await spine.budget(CONTEXT).record("c", "acme", 1000)


@pytest.mark.anyio
async def test_a_policy_and_the_ledgers_own_limit_both_hold(opener: Opener, backend: str) -> None:
    async with opener() as spine:
        await routes(spine, backend)
        budget, policies = spine.budget(CONTEXT), spine.budget_policies(CONTEXT)
        await policies.upsert("p1", month(100))
        await budget.set_limit("acme", "month", 1_000_000)
        with pytest.raises(BudgetExceeded):
            await budget.record("much", "acme", 101)
        await budget.set_limit("acme", "month", 10, 5)
        with pytest.raises(BudgetExceeded) as refused:
            await budget.record("much", "acme", 11)
        assert refused.value.fields["source"] == "ledger"
        balance = await budget.balance("acme", "month")
        assert (balance.limit, balance.soft, balance.available) == (10, 5, 10)
        assert [(one.source, one.as_json()["amount"]) for one in balance.limits] == [
            ("policy", 100),
            ("ledger", 10),
        ]
        assert (await budget.balance("acme", "day")).limits == ()
        assert [(held.limit.amount, held.policy_id) for held in await budget.limits()] == [
            (100, "p1"),
            (10, None),
        ]
        once = await budget.record("all", "acme", 10)
        marks = [(crossed.threshold, crossed.mark) for crossed in once.crossed]
        assert len(marks) == len(set(marks)), "each mark once, whoever set it"


@pytest.mark.anyio
async def test_policies_outlive_a_restart_and_say_nothing_without_their_route(
    opener: Opener, backend: str
) -> None:
    async with opener() as spine:
        await routes(spine, backend)
        await spine.budget_policies(CONTEXT).upsert("p1", month(1))
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        if backend == "filesystem":
            with pytest.raises(BudgetExceeded):
                await budget.record("a", "acme", 2)
        for scope in (("dev", "default"), ("*", "*")):
            await spine.routes.delete(RouteKey("tabular_store", "t_system", *scope, "lab"))
        await budget.record("a", "acme", 2)


@pytest.mark.anyio
async def test_a_policy_that_is_none_is_refused_and_other_documents_limit_nothing(
    opener: Opener, backend: str
) -> None:
    async with opener() as spine:
        await routes(spine, backend)
        policies = spine.budget_policies(CONTEXT)
        for document, error in [
            (month(-1), InvalidRequest),
            (month(1, most=2), InvalidRequest),
            ({"account": "acme"}, InvalidRequest),
            ({"account": "a//b", "window": "month"}, InvalidId),
            ({"account": "a", "window": "week"}, InvalidRequest),
            (month(1, tenant_id=""), InvalidId),
            (month(1, thresholds=[0]), InvalidRequest),
        ]:
            with pytest.raises(error):
                await policies.upsert("p1", document)
        assert await policies.list() == []
        await policies.upsert("note", {"limit": 5})
        await policies.upsert("list", [1])
        system = CONTEXT.model_copy(update={"tenant_id": "t_system"})
        await spine.tables(system).upsert("policies", "past", {"account": "acme", "window": 3})
        await spine.budget(CONTEXT).record("a", "acme", 10)
        assert await spine.budget(CONTEXT).limits() == []


@pytest.mark.anyio
async def test_policies_that_cannot_be_asked_refuse_the_spend(
    opener: Opener, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "memory":
        pytest.skip("one backend for both: nothing fails alone")
    async with opener() as spine:
        await routes(spine, "memory")
        await spine.budget_policies(CONTEXT).upsert("p1", month(100))
        await spine.budget(CONTEXT).record("a", "acme", 1)
        (host,) = [one for one in spine._hosts if "memory" in one.name]
        monkeypatch.setattr(host, "store", None)
        host.directory.reset_all("gone")
        for journal in host.journals.values():
            journal.directory.reset_all("gone")
        with pytest.raises(StoreUnavailable):
            await spine.budget(CONTEXT).record("b", "acme", 1)
        monkeypatch.undo()
        assert (await spine.budget(CONTEXT).balance("acme")).posted == 1


@pytest.mark.anyio
async def test_a_policy_with_an_end_holds_until_then(opener: Opener, backend: str) -> None:
    async with opener() as spine:
        await routes(spine, backend)
        system = CONTEXT.model_copy(update={"tenant_id": "t_system"})
        tables, budget = spine.tables(system), spine.budget(CONTEXT)
        await tables.upsert("policies", "p", month(1), ttl_s=5000)
        with pytest.raises(BudgetExceeded):
            await budget.record("a", "acme", 2)
        later_on = later(spine._journals.now(), 5001)
        spine._journals.now = lambda: later_on  # type: ignore[method-assign]
        await budget.record("a", "acme", 2)


@pytest.mark.anyio
async def test_no_spend_that_begins_after_a_policy_passes_it(opener: Opener, backend: str) -> None:
    """Spenders and an operator at once: who begins after the answer is held by it."""
    seed = time.time_ns() % 1_000_000_007
    rng = random.Random(seed)
    async with opener() as spine:
        await routes(spine, backend)
        policies, budget = spine.budget_policies(CONTEXT), spine.budget(CONTEXT)
        answered: list[int] = [10**6]  # amounts of the policy, as they were answered; they fall

        async def spender(name: str) -> None:
            for n in range(40):
                most = answered[-1]
                try:
                    entry = await budget.record(f"{name}-{n}", f"acme/{name}", rng.randrange(1, 9))
                except BudgetExceeded:
                    continue
                page = await budget.entries("acme")
                until = [one for one in page.entries if one.sequence <= entry.sequence]
                assert sum(one.posted for one in until) <= most, f"seed {seed}"

        async def operator() -> None:
            for amount in (900, 500, 300, 200, 150):
                await policies.upsert("p", {"account": "acme", "window": "total", "amount": amount})
                answered.append(amount)

        async with create_task_group() as tasks:
            for name in "abcd":
                tasks.start_soon(spender, name)
            tasks.start_soon(operator)
        with pytest.raises(BudgetExceeded):
            await budget.record("last", "acme", 151)


# --- the choice, without any store ------------------------------------------------------------


def chosen(scope: Scope, *documents: dict[str, Any]) -> list[tuple[str | None, int | None]]:
    rows = [Row(f"p{n}", orjson.dumps(one), n, NOW) for n, one in enumerate(documents)]
    held = PolicySet(rows).of(scope).get("acme", [])
    return [(one.policy_id, one.limit.amount) for one in held]


def test_the_most_specific_policy_wins_and_equals_hold_together() -> None:
    scope = Scope("t_demo", "dev", "lab", surface_id="chat")
    every, tenant = month(1), month(2, tenant_id="t_demo")
    surface, both = month(3, surface_id="chat"), month(4, tenant_id="t_demo", surface_id="chat")
    others = [month(9, tenant_id="t_x"), month(9, surface_id="web"), month(9, account="acme/x")]
    assert chosen(scope, every, *others) == [("p0", 1)]
    assert chosen(scope, every, surface) == [("p1", 3)]
    assert chosen(scope, tenant, surface, every) == [("p0", 2)]
    assert chosen(scope, both, tenant, surface, every) == [("p0", 4)]
    assert chosen(scope, tenant, month(7, tenant_id="t_demo"), every) == [("p0", 2), ("p1", 7)]
    exempt = month(None, tenant_id="t_demo")
    assert chosen(scope, every, exempt) == [], "one without an amount lifts the general one"
    day = {**month(5), "window": "day"}
    assert chosen(scope, tenant, day) == [("p1", 5), ("p0", 2)], "windows are each their own"


def test_what_is_no_limit_is_no_policy() -> None:
    assert policy_of(b'{"limit": 5}') is None
    assert policy_of(b"[]") is None
    with pytest.raises(EventspineError):
        policy_of(b'{"account": 3}')
