"""`routing_registry()` answers for the spine that runs, with the seed's call."""

from __future__ import annotations

import pytest

import eventspine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import NoRouteConfigured, RegistryNotOpen
from eventspine.contracts.settings import Settings
from tests.actors.faulty import memory_route

pytestmark = pytest.mark.anyio


def test_without_a_spine_there_is_none() -> None:
    with pytest.raises(RegistryNotOpen):
        eventspine.routing_registry()


async def test_the_seed_s_calls_run_in_lab(tmp_path) -> None:
    async with eventspine.open(tmp_path, lab=True):
        registry = eventspine.routing_registry()
        by_place = registry.get_route("event_stream", "t_demo", "dev", "default")
        assert by_place.backend_type == "filesystem"
        assert registry.get_route("event_stream") == by_place
        named = registry.get_route(resource_kind="event_stream", tenant_id="t_demo", env="dev")
        assert named == by_place
        with pytest.raises(NoRouteConfigured, match=r"^No route configured for event_stream$"):
            registry.get_route("event_stream", "nobody", "dev", "default")
    with pytest.raises(RegistryNotOpen):
        eventspine.current_registry()


async def test_mode_comes_from_the_context_or_is_missed(tmp_path) -> None:
    context = RequestContext(tenant_id="t", env="e", mode="lab", project_id="p")
    async with eventspine.open(tmp_path, settings=Settings()) as spine:
        made = await spine.routes.create(memory_route(context))
        with pytest.raises(TypeError, match="mode"):
            eventspine.routing_registry().get_route("event_stream", "t", "e", "p")
        assert eventspine.routing_registry(context).get_route("event_stream") == made


async def test_the_spine_opened_last_answers(tmp_path) -> None:
    async with eventspine.open(tmp_path / "a", lab=True) as first:
        async with eventspine.open(tmp_path / "b", lab=True) as second:
            assert eventspine.routing_registry().service is second.routes
        assert eventspine.routing_registry().service is first.routes
