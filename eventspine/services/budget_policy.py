"""BudgetPolicyRepo: budget policies, rows of the system tenant's table. Source: FN-22, SYS-16.

    policies = spine.budget_policies(context)          # or get_budget_policy_repo(spine, context)
    await policies.upsert("p1", {"account": "acme", "window": "month", "amount": 25_000_000})
    await policies.get("p1")

They are found by the route of kind `tabular_store` of tenant `t_system`, in the env, mode and
project of the context; its surface does not count. Without that route: `No route configured for
tabular_store`. What a policy may say, and what it does, is contracts/budget_policy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from eventspine.contracts.budget_policy import policy_of
from eventspine.contracts.context import RequestContext
from eventspine.contracts.rows import Row, RowPage
from eventspine.contracts.surface import DEFAULT_SURFACE
from eventspine.services.tabular import TabularStoreService, encoded

SYSTEM_TENANT = "t_system"
TABLE = "policies"


class BudgetPolicyRepo:
    """Policies by id. One that names an account is a limit of it, and holds from its answer on."""

    def __init__(self, tables: TabularStoreService) -> None:
        self._tables = tables

    async def upsert(self, policy_id: str, policy: Any, *, if_version: int | None = None) -> Row:
        """Write a policy. `if_version`: only at that version; 0: only if there is none.

        Raises:
            InvalidRequest, InvalidId: it names an account, and is no limit of it.
        """
        return await self.upsert_json(policy_id, encoded(policy), if_version=if_version)

    async def upsert_json(
        self, policy_id: str, json: bytes, *, if_version: int | None = None
    ) -> Row:
        """`upsert` of a policy that is JSON text already."""
        policy_of(json)
        return await self._tables.upsert_json(TABLE, policy_id, json, if_version=if_version)

    async def get(self, policy_id: str) -> Any:
        """The policy, or None."""
        return await self._tables.get(TABLE, policy_id)

    async def get_row(self, policy_id: str) -> Row | None:
        """The policy with its version and time, or None."""
        return await self._tables.get_row(TABLE, policy_id)

    async def list(self, prefix: str = "", *, limit: int | None = None) -> list[Row]:
        """Policies whose id begins with `prefix`, in order of their ids."""
        return await self._tables.list_by_prefix(TABLE, prefix, limit=limit)

    async def page(
        self, prefix: str = "", *, after: str | None = None, limit: int | None = None
    ) -> RowPage:
        return await self._tables.page(TABLE, prefix, after=after, limit=limit)

    async def delete(self, policy_id: str, *, if_version: int | None = None) -> bool:
        """Delete a policy. Answers whether there was one."""
        return await self._tables.delete(TABLE, policy_id, if_version=if_version)


class HasPolicies(Protocol):
    def budget_policies(self, context: RequestContext) -> BudgetPolicyRepo: ...


def policies_of(
    tables: Callable[[RequestContext], TabularStoreService], context: RequestContext
) -> BudgetPolicyRepo:
    """The policies that hold for a context."""
    return BudgetPolicyRepo(tables(system_context(context)))


def system_context(context: RequestContext) -> RequestContext:
    """The system tenant's, in the env, mode and project of a context."""
    system = {"tenant_id": SYSTEM_TENANT, "surface_id": DEFAULT_SURFACE}
    return context.model_copy(update=system)


def get_budget_policy_repo(spine: HasPolicies, context: RequestContext) -> BudgetPolicyRepo:
    """FN-22: the policies that hold for a context."""
    return spine.budget_policies(context)
