"""The registry beside a plain dictionary: any program of changes, restarts and questions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.adapters.filesystem.registry.registry import FilesystemRegistryStore
from eventspine.bootstrap.configs import ChecksOnly
from eventspine.contracts.errors import (
    EventspineError,
    NoRouteConfigured,
    RouteConflict,
    RouteNotFound,
    UnsupportedBackend,
)
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.route_file import RouteFile
from eventspine.contracts.settings import RoutingSettings
from eventspine.services.routing.service import RouteService
from tests.inner import examples

T = TypeVar("T")
Rows = dict[RouteKey, RouteSpec]
PARTS = st.sampled_from(["*", "a", "b"])
SCOPES = st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from("ab"))


@st.composite
def specs(draw: st.DrawFn) -> RouteSpec:
    return RouteSpec(
        resource_kind=ResourceKind.TABULAR_STORE,
        tenant_id=draw(PARTS),
        env=draw(PARTS),
        project_id=draw(PARTS),
        mode="lab",
        backend_type="Memory",
        config={"name": draw(st.sampled_from(["one", "two"]))},
    )


class RegistryAndDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.Runner()
        self._folder = TemporaryDirectory()
        self.rows: Rows = {}
        self.past: list[Rows] = [{}]  # by revision
        self.revised: dict[RouteKey, int] = {}
        self.restart()

    def teardown(self) -> None:
        self._loop.close()
        self._folder.cleanup()

    def done(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self._loop.run(run())

    def refused(self, work: Awaitable[Any], *kinds: type[EventspineError]) -> None:
        try:
            self.done(work)
        except kinds:
            return
        raise AssertionError(f"not refused with {kinds}")

    @rule()
    def restart(self) -> None:
        store = FilesystemRegistryStore(Path(self._folder.name))
        self.routes = RouteService(store, ChecksOnly(), RoutingSettings())
        self.done(self.routes.load())

    def became(self, rows: Rows) -> None:
        changed = {key for key in {*rows, *self.rows} if rows.get(key) != self.rows.get(key)}
        self.rows = rows
        self.past.append(rows)
        self.revised.update(dict.fromkeys(changed, len(self.past) - 1))

    # --- changes ---

    @rule(spec=specs())
    def create(self, spec: RouteSpec) -> None:
        if spec.key in self.rows:
            self.refused(self.routes.create(spec), RouteConflict)
            return
        route = self.done(self.routes.create(spec, by="ada"))
        self.became({**self.rows, spec.key: spec})
        assert (route.spec, route.revision) == (spec, len(self.past) - 1)

    @rule(spec=specs(), guess=st.sampled_from([None, "right", "wrong"]))
    def update(self, spec: RouteSpec, guess: str | None) -> None:
        if spec.key not in self.rows:
            self.refused(self.routes.update(spec), RouteNotFound)
            return
        at = self.revised[spec.key]
        if guess == "wrong":
            self.refused(self.routes.update(spec, at + 1), RouteConflict)
            return
        self.done(self.routes.update(spec, at if guess else None))
        self.rows = {key: row for key, row in self.rows.items() if key != spec.key}
        self.became({**self.rows, spec.key: spec})

    @rule(spec=specs())
    def delete(self, spec: RouteSpec) -> None:
        if spec.key not in self.rows:
            self.refused(self.routes.delete(spec.key), RouteNotFound)
            return
        self.done(self.routes.delete(spec.key, self.revised[spec.key]))
        self.became({key: row for key, row in self.rows.items() if key != spec.key})

    @rule(spec=specs(), backend=st.sampled_from(["redis", "s3", "MEMORY2"]))
    def no_such_backend(self, spec: RouteSpec, backend: str) -> None:
        wrong = spec.model_copy(update={"backend_type": backend})
        change = self.routes.update if spec.key in self.rows else self.routes.create
        self.refused(change(wrong), UnsupportedBackend)

    @rule(share=st.floats(0, 1))
    def rollback(self, share: float) -> None:
        to = round(share * (len(self.past) - 1))
        change = self.done(self.routes.rollback(to, if_revision=len(self.past) - 1))
        if self.past[to] == self.rows:
            assert change is None
        else:
            self.became(dict(self.past[to]))

    @rule(
        wanted=st.lists(specs(), max_size=4, unique_by=lambda spec: spec.key), stale=st.booleans()
    )
    def apply(self, wanted: list[RouteSpec], stale: bool) -> None:
        serial = len(self.past) - 1
        file = RouteFile(serial=serial + stale, routes=tuple(wanted))
        planned = {row.key for row in self.routes.plan(file)}
        rows = {spec.key: spec for spec in wanted}
        assert planned == {
            key for key in {*rows, *self.rows} if rows.get(key) != self.rows.get(key)
        }
        if stale:
            self.refused(self.routes.apply(file), RouteConflict)
        elif self.done(self.routes.apply(file)) is None:
            assert rows == self.rows
        else:
            self.became(rows)

    # --- questions ---

    @rule(scope=SCOPES)
    def the_most_specific_row_serves(self, scope: tuple[str, str, str]) -> None:
        serving = [
            key
            for key in self.rows
            if all(part in ("*", want) for part, want in zip(key[1:4], scope, strict=True))
        ]
        wanted = max(serving, key=lambda key: [part != "*" for part in key[1:4]], default=None)
        try:
            route = self.routes.get_route("tabular_store", *scope, mode="lab")
        except NoRouteConfigured:
            assert wanted is None
        else:
            assert route.key == wanted
        explained = self.routes.explain(RouteKey("tabular_store", *scope, "lab"))
        assert [one["key"] for one in explained["candidates"] if one["wins"]] == (
            [] if wanted is None else [wanted._asdict()]
        )

    @invariant()
    def they_agree(self) -> None:
        assert {route.key: route.spec for route in self.routes.list()} == self.rows
        assert {route.key: route.revision for route in self.routes.list()} == {
            key: self.revised[key] for key in self.rows
        }
        assert self.routes.revision == len(self.past) - 1

    @rule()
    def the_history_leads_from_one_to_the_other(self) -> None:
        changes = self.done(self.routes.history.entries({}, None, 10_000))
        rows: Rows = {}
        for change in reversed(changes):
            for row in change.rows:
                assert (row.before and row.before.spec) == rows.get(row.key)
                if row.after is None:
                    del rows[row.key]
                else:
                    rows[row.key] = row.after.spec
            assert rows == self.past[change.revision]
        assert len(changes) == len(self.past) - 1


RegistryAndDictionary.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=25, deadline=None
)
TestRegistryAndDictionary = RegistryAndDictionary.TestCase
