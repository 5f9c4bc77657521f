"""PolicyLimits: the budget policies that hold for a scope, as they stand now.

Job: keep each set of policies parsed for as long as its table is at the same version. The owner of
the table is asked for its version with every spend, in memory: a policy that was answered holds for
every spend that begins after that.
Rules: no route for tables of the system tenant, no policies; what was written in another mode is
no policy of this one. A table that cannot be asked refuses the spend: what is not known to be
allowed is not allowed. A change of the registry forgets all.
Source: FN-22, SYS-16, D8.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from eventspine.actors.states.table import Table
from eventspine.contracts.budget_policy import NO_POLICIES, Policies, PolicySet
from eventspine.contracts.context import RequestContext, Scope
from eventspine.contracts.errors import NoRouteConfigured, ScopeMismatch
from eventspine.contracts.journal import Decision
from eventspine.contracts.route import ResourceKind, RouteKey
from eventspine.contracts.rows import Row
from eventspine.services.budget_policy import TABLE, system_context
from eventspine.services.journals import Journals
from eventspine.services.routing.service import RouteService

log = logging.getLogger(__name__)
SCOPES_MAX = 100_000


class _Known(NamedTuple):
    version: int
    set: PolicySet


class PolicyLimits:
    def __init__(self, journals: Journals, routes: RouteService) -> None:
        self._journals = journals
        self._generation = 0
        self._contexts: dict[Scope, RequestContext] = {}
        self._none: set[Scope] = set()  # system scopes without a route for tables
        self._known: dict[Scope, _Known] = {}
        self._of: dict[Scope, tuple[PolicySet, Policies]] = {}
        routes.on_change(self._route_changed)

    async def of(self, context: RequestContext) -> Policies:
        """What holds for the ledger of a context, by account.

        Raises:
            StoreUnavailable, …: the policies cannot be asked.
        """
        system = self._system(context)
        if system.scope in self._none:
            return NO_POLICIES
        generation = self._generation
        try:
            known = await self._ask(system)
        except NoRouteConfigured:
            if generation == self._generation:
                self._none.add(system.scope)
            return NO_POLICIES
        except ScopeMismatch:
            return NO_POLICIES
        if generation == self._generation:  # else the registry changed while it was asked
            self._known[system.scope] = known
        return self._for(context.scope, known.set)

    async def _ask(self, system: RequestContext) -> _Known:
        now, before = self._journals.now(), self._known.get(system.scope)

        def decide(table: Table) -> Decision[tuple[int, list[Row] | None]]:
            same = before is not None and before.version == table.version
            if same and before is not None and (before.set.ends or "~") > now:
                return Decision((), (table.version, None))
            return Decision((), (table.version, table.all(now)))

        version, rows = await self._journals.ask(ResourceKind.TABULAR_STORE, TABLE, system, decide)
        if rows is None and before is not None:
            return before
        found = PolicySet(rows or ())
        if found.wrong:
            log.warning("policies that limit nothing, since they are none: %s", found.wrong[:10])
        return _Known(version, found)

    def _for(self, scope: Scope, found: PolicySet) -> Policies:
        known = self._of.get(scope)
        if known is not None and known[0] is found:
            return known[1]
        if len(self._of) >= SCOPES_MAX:
            self._of.clear()
        policies = found.of(scope)
        self._of[scope] = found, policies
        return policies

    def _system(self, context: RequestContext) -> RequestContext:
        known = self._contexts.get(context.scope)
        if known is None:
            if len(self._contexts) >= SCOPES_MAX:
                self._contexts.clear()
            known = self._contexts[context.scope] = system_context(context)
        return known

    async def _route_changed(self, key: RouteKey) -> None:
        self._generation += 1
        for remembered in (self._none, self._known, self._of):
            remembered.clear()
