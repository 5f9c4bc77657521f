"""The services by context alone, and the timeline, by the names they had before."""

from __future__ import annotations

from pathlib import Path

import pytest

import eventspine
from eventspine import stores
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import NoRouteConfigured, RegistryNotOpen
from eventspine.services.kpi import FileKpiRepository

pytestmark = pytest.mark.anyio
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
ELSEWHERE = RequestContext(tenant_id="t_other", env="dev", mode="lab")


async def test_each_service_is_that_of_the_spine_that_runs(tmp_path: Path) -> None:
    async with eventspine.open(tmp_path, lab=True) as spine:
        await stores.TabularStoreService(CONTEXT).upsert("policies", "p1", {"limit": 5})
        assert await spine.tables(CONTEXT).get("policies", "p1") == {"limit": 5}
        await stores.MemoryStoreService(CONTEXT).set("u1", 1)
        assert await spine.memory(CONTEXT).get("u1") == 1
        await stores.MetricsStoreService(CONTEXT).ingest("north_star", 0.5)
        repository = stores.get_kpi_repo(CONTEXT)
        assert isinstance(repository, FileKpiRepository)
        latest = await repository.latest("north_star")
        assert latest is not None
        assert latest.value == 0.5
        await stores.BudgetStoreService(CONTEXT).record("call-1", "acme", 7)
        assert (await spine.budget(CONTEXT).balance("acme")).posted == 7
        await stores.get_service(CONTEXT).put_object("a/b", b"bytes")
        with pytest.warns(DeprecationWarning, match="ObjectStoreService"):
            old = stores.RawStorageService(CONTEXT)
        assert await old.get_object("a/b") == b"bytes"
        await stores.VectorStoreService(CONTEXT).create_collection("notes", 2)
        await stores.VectorStoreService(CONTEXT).upsert("notes", "n1", [1.0, 0.0])
        policies = stores.get_budget_policy_repo(CONTEXT)
        await policies.upsert("p1", {"limit": 5})
        assert await policies.get("p1") == {"limit": 5}


async def test_there_is_no_service_without_a_spine() -> None:
    with pytest.raises(RegistryNotOpen):
        stores.TabularStoreService(CONTEXT)


async def test_the_timeline_answers_ids_and_events(tmp_path: Path) -> None:
    async with eventspine.open(tmp_path, lab=True) as spine:
        timeline = stores.get_timeline_store()
        ids = [
            await timeline.append("thread_1", {"event_type": "note", "payload": {"n": n}}, CONTEXT)
            for n in range(3)
        ]
        events = await timeline.list_after("thread_1", ids[0], CONTEXT)
        assert [event.event_id for event in events] == ids[1:]
        many = [{"event_type": "note", "payload": {"n": n}} for n in range(250)]
        await spine.append_batch("thread_1", many, CONTEXT)
        assert len(await timeline.list_after("thread_1", None, CONTEXT)) == 253
        assert (
            len(await stores.resolve_timeline_backend(CONTEXT).list_after("x", None, CONTEXT)) == 0
        )
        assert stores.timeline_route(CONTEXT).backend_type == "filesystem"
        with pytest.raises(NoRouteConfigured, match="No route configured for event_stream"):
            stores.resolve_timeline_backend(ELSEWHERE)
