"""Wild rows, and the explanation of why one serves a scope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import BackendRefusedInMode, NoRouteConfigured
from eventspine.contracts.route import ResourceKind, RouteKey, RouteSpec
from eventspine.contracts.settings import Settings
from eventspine.services.spine import Spine
from tests.actors.faulty import CONTEXT, event, memory_route, numbers

pytestmark = pytest.mark.anyio
SCOPE = RouteKey("event_stream", "t", "e", "p", "lab")


@pytest.fixture
async def spine(tmp_path: Path, anyio_backend: Any) -> AsyncIterator[Spine]:
    async with open_spine(tmp_path, settings=Settings()) as spine:
        yield spine


def row(tenant: str, env: str, project: str, name: str, **more: Any) -> RouteSpec:
    return RouteSpec(
        **{
            "resource_kind": ResourceKind.EVENT_STREAM,
            "tenant_id": tenant,
            "env": env,
            "project_id": project,
            "mode": "lab",
            "backend_type": "memory",
            "config": {"name": name},
            **more,
        }
    )


async def test_the_most_specific_row_wins_tenant_before_env_before_project(spine) -> None:
    order = list(product(("t", "*"), ("e", "*"), ("p", "*")))
    for n, parts in reversed(list(enumerate(order))):
        await spine.routes.create(row(*parts, f"m{n}"))
        assert spine.routes.get_route(*SCOPE).config == {"name": f"m{n}"}
    assert [key[1:4] for key in SCOPE.rows()] == order


async def test_a_row_serves_no_other_kind_or_mode(spine) -> None:
    await spine.routes.create(row("*", "*", "*", "all"))
    with pytest.raises(NoRouteConfigured):
        spine.routes.get_route("vector_store", "t", "e", "p", "lab")
    with pytest.raises(NoRouteConfigured):
        spine.routes.get_route("event_stream", "t", "e", "p", "production")
    with pytest.raises(ValidationError):
        row("t", "e", "p", "x", mode="*")


async def test_a_wild_row_is_guarded_as_any_other(spine) -> None:
    with pytest.raises(BackendRefusedInMode):
        await spine.routes.create(row("*", "*", "*", "all", mode="production"))


async def test_tenants_behind_a_wild_row_do_not_meet(spine) -> None:
    await spine.routes.create(row("*", "*", "*", "all"))
    contexts = [RequestContext(tenant_id=t, env="e", mode="lab") for t in ("a", "b", "*")]
    for n, context in enumerate(contexts):
        await spine.append("s", event(n), context)
    for n, context in enumerate(contexts):
        assert numbers((await spine.list_after("s", None, context)).lines) == [n]


@pytest.mark.parametrize("kind", [ResourceKind.EVENT_STREAM, ResourceKind.TABULAR_STORE])
async def test_a_change_of_a_wild_row_reaches_every_scope_behind_it(spine, kind) -> None:
    async def count(context: RequestContext) -> int:
        if kind is ResourceKind.EVENT_STREAM:
            await spine.append("s", event(1), context)
            return len((await spine.list_after("s", None, context)).lines)
        tables = spine.tables(context)
        row = await tables.upsert("t", "k", {"n": 1})
        return int(row.version)

    contexts = [RequestContext(tenant_id=t, env="e", mode="lab") for t in ("a", "b")]
    await spine.routes.create(row("*", "*", "*", "one", resource_kind=kind))
    for context in contexts:
        assert [await count(context), await count(context)] == [1, 2]
    await spine.routes.update(row("*", "*", "*", "two", resource_kind=kind))
    for context in contexts:
        assert await count(context) == 1
    await spine.routes.create(row("a", "*", "*", "three", resource_kind=kind))
    assert [await count(context) for context in contexts] == [1, 2]
    await spine.routes.delete(RouteKey(kind.value, "a", "*", "*", "lab"))
    assert [await count(context) for context in contexts] == [2, 3]
    await spine.routes.delete(RouteKey(kind.value, "*", "*", "*", "lab"))
    with pytest.raises(NoRouteConfigured):
        await count(contexts[0])


async def test_explain_names_every_candidate_and_why(spine) -> None:
    nothing = spine.routes.explain(SCOPE)
    assert nothing["route"] is None
    assert nothing["why"] == "No route configured for event_stream"
    assert len(nothing["candidates"]) == 8
    await spine.routes.create(row("*", "*", "*", "all", tier="bronze", cost_notes="free"))
    await spine.routes.create(row("t", "*", "*", "own"))
    told = spine.routes.explain(SCOPE)
    assert told["route"]["config"] == {"name": "own"}
    assert told["why"] == "no row is more specific; any env, project_id will do for this one"
    assert told["health"]["state"] == "serving"
    assert told["refused"] is None
    there = {tuple(one["key"].values()): one for one in told["candidates"] if one["exists"]}
    assert [one["wins"] for one in there.values()] == [True, False]
    beaten = there["event_stream", "*", "*", "*", "lab"]
    assert beaten["why"] == "event_stream/t/*/*/lab is more specific"
    exact = spine.routes.explain(RouteKey("event_stream", "t", "*", "*", "lab"))
    assert exact["why"] == "the row is for exactly this scope"


async def test_tier_and_cost_are_kept(spine) -> None:
    made = await spine.routes.create(memory_route(CONTEXT, tier="gold", cost_notes="2 a month"))
    assert (made.tier, made.cost_notes) == ("gold", "2 a month")
    assert spine.routes.get(made.key) == made
