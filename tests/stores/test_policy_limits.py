"""Policies over spaces and changes: what is remembered of them is forgotten when it has to be."""

from __future__ import annotations

import pytest

from eventspine import RequestContext
from eventspine.contracts.errors import BudgetExceeded
from eventspine.contracts.route import ResourceKind, RouteSpec
from tests.stores.conftest import CONTEXT, Opener

SYSTEM = {"tenant_id": "t_system", "env": "dev", "mode": "lab"}
ONE = {"account": "a", "window": "total", "amount": 1}


def table_route(backend: str, **more: str) -> RouteSpec:
    kind = ResourceKind.TABULAR_STORE
    return RouteSpec.model_validate(
        {"resource_kind": kind, "backend_type": backend, **SYSTEM, **more}
    )


@pytest.mark.anyio
async def test_policies_of_another_project_limit_nothing_here(opener: Opener, backend: str) -> None:
    async with opener() as spine:
        for project in ("default", "p"):
            await spine.routes.create(table_route(backend, project_id=project))
        there = RequestContext(tenant_id="t_demo", env="dev", mode="lab", project_id="p")
        await spine.budget_policies(there).upsert("one", ONE)
        await spine.budget(CONTEXT).record("1", "a", 100)
        assert await spine.budget_policies(CONTEXT).list() == []


@pytest.mark.anyio
async def test_a_policy_of_one_surface_limits_no_other(opener: Opener, backend: str) -> None:
    async with opener() as spine:
        await spine.routes.create(table_route(backend))
        chat = CONTEXT.model_copy(update={"surface_id": "chat"})
        await spine.budget_policies(chat).upsert("one", {**ONE, "surface_id": "chat"})
        await spine.budget(CONTEXT).record("1", "a", 100)
        with pytest.raises(BudgetExceeded):
            await spine.budget(chat).record("1", "a", 100)


@pytest.mark.anyio
async def test_a_new_route_of_the_policies_is_followed_at_once(
    opener: Opener, backend: str
) -> None:
    """Also to a table that is at the same version, and from none."""
    other = "memory" if backend == "filesystem" else "filesystem"
    async with opener() as spine:
        budget = spine.budget(CONTEXT)
        await budget.record("0", "a", 2)
        await spine.routes.create(table_route(backend))
        await spine.budget_policies(CONTEXT).upsert("one", ONE)
        with pytest.raises(BudgetExceeded):
            await budget.record("1", "a", 2)
        await spine.routes.update(table_route(other))
        await spine.budget_policies(CONTEXT).upsert("one", {**ONE, "account": "b"})
        await budget.record("1", "a", 2)
        with pytest.raises(BudgetExceeded):
            await budget.record("2", "b", 2)


@pytest.mark.anyio
async def test_what_was_spent_under_an_id_is_answered_whatever_a_policy_says_since(
    opener: Opener, backend: str
) -> None:
    async with opener() as spine:
        await spine.routes.create(table_route(backend))
        budget = spine.budget(CONTEXT)
        first = await budget.record("1", "a", 2)
        held = await budget.reserve("2", "a", 2)
        await spine.budget_policies(CONTEXT).upsert("one", ONE)
        assert await budget.record("1", "a", 2) == first
        assert await budget.reserve("2", "a", 2) == held
        assert (await budget.commit("2", 2)).posted == 2
        balance = await budget.balance("a")
        assert (balance.posted, balance.limit, balance.available) == (4, 1, 0)
