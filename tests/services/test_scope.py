"""Scope is checked at every door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from eventspine.bootstrap import open_spine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    CursorGone,
    InvalidEvent,
    InvalidId,
    NoRouteConfigured,
    ScopeMismatch,
    TooLarge,
)
from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import RoutingSettings, Settings
from eventspine.services.spine import Spine
from tests.actors.faulty import event, memory_route, numbers

pytestmark = pytest.mark.anyio

ONE = RequestContext(tenant_id="t1", env="dev", mode="lab")
OTHERS = [
    ONE.model_copy(update={"tenant_id": "t2"}),
    ONE.model_copy(update={"env": "prod"}),
    ONE.model_copy(update={"project_id": "p2"}),
]
SIMULATION = ONE.model_copy(update={"mode": "simulation"})


@pytest.fixture
async def spine(tmp_path: Path, anyio_backend: Any) -> AsyncIterator[Spine]:
    settings = Settings(
        routing=RoutingSettings(lab_backend_modes=("simulation",)),
        limits=Limits(event_bytes_max=2000, batch_events_max=5),
    )
    async with open_spine(tmp_path, settings=settings) as spine:
        for context in [ONE, *OTHERS, SIMULATION]:
            await spine.routes.create(memory_route(context, config={"name": "shared"}))
        yield spine


async def test_one_stream_id_is_another_stream_in_every_scope(spine) -> None:
    surfaces = [ONE.model_copy(update={"surface_id": name}) for name in ("squared2", "Squared")]
    for n, context in enumerate([ONE, *OTHERS, *surfaces]):
        got = await spine.append("s", event(n, "same id"), context)
        assert got.duplicates == 0
        assert got.head.sequence == 1
    for n, context in enumerate([ONE, *OTHERS, *surfaces]):
        assert numbers((await spine.list_after("s", None, context)).lines) == [n]


async def test_alias_surfaces_are_one_stream(spine) -> None:
    for n, surface in enumerate(["SQUARED²", "SQUARED", "squared", "squared²", "squared2"]):
        context = RequestContext(tenant_id="t1", env="dev", mode="lab", surface_id=surface)
        assert (await spine.append("s", event(n), context)).head.sequence == n + 1


async def test_a_position_of_another_scope_is_gone(spine) -> None:
    made = await spine.append("s", event(1), ONE)
    for context in OTHERS:
        for position in (made.event_id, str(made.head)):
            with pytest.raises(CursorGone):
                await spine.list_after("s", position, context)


async def test_a_stream_is_readable_only_in_the_mode_it_was_written_in(spine) -> None:
    await spine.append("s", event(1), ONE)
    for call in (
        spine.append("s", event(2), SIMULATION),
        spine.list_after("s", None, SIMULATION),
        spine.list_after("s", None, SIMULATION, before="latest"),
        spine.head("s", SIMULATION),
        spine.subscribe("s", SIMULATION),
        spine.close_stream("s", SIMULATION),
        spine.delete_stream("s", SIMULATION),
    ):
        with pytest.raises(ScopeMismatch):
            await call
    assert numbers((await spine.list_after("s", None, ONE)).lines) == [1]
    await spine.delete_stream("s", ONE)
    assert (await spine.append("s", event(3), SIMULATION)).head.epoch == 2


@pytest.mark.parametrize(
    "stated",
    [
        {"stream_id": "other"},
        {"routing": {"tenant_id": "t2", "env": "dev", "mode": "lab"}},
        {"routing": {"tenant_id": "t1", "env": "prod", "mode": "lab"}},
        {"routing": {"tenant_id": "t1", "env": "dev", "mode": "simulation"}},
        {"routing": {"tenant_id": "t1", "env": "dev", "mode": "lab", "project_id": "p2"}},
        {"metadata": {"tenant_id": "t2"}},
        {"metadata": {"mode": "prod"}},
        {"metadata": {"surface_id": "squared2"}},
    ],
)
async def test_an_event_that_says_it_belongs_elsewhere_is_refused(spine, stated) -> None:
    with pytest.raises(ScopeMismatch):
        await spine.append_batch("s", [event(0), event(1, **stated)], ONE)
    assert (await spine.head("s", ONE)).cursor.sequence == 0


async def test_an_event_that_says_where_it_belongs_is_stored(spine) -> None:
    routing = {"tenant_id": "t1", "env": "dev", "mode": "lab", "project_id": "default"}
    metadata = {"tenant_id": "t1", "own": [1]}
    await spine.append("s", event(1, stream_id="s", routing=routing, metadata=metadata), ONE)
    [stored] = (await spine.list_after("s", None, ONE)).events
    assert stored.routing.model_dump() == routing
    assert stored.metadata.model_dump()["own"] == [1]
    assert stored.metadata.surface_id == "_"


async def test_without_a_route_nothing_is_served(spine) -> None:
    nowhere = ONE.model_copy(update={"tenant_id": "t9"})
    for call in (
        spine.append("s", event(1), nowhere),
        spine.list_after("s", None, nowhere),
        spine.head("s", nowhere),
        spine.subscribe("s", nowhere),
        spine.close_stream("s", nowhere),
        spine.delete_stream("s", nowhere),
    ):
        with pytest.raises(RuntimeError) as caught:
            await call
        assert str(caught.value) == "No route configured for event_stream"
        assert isinstance(caught.value, NoRouteConfigured)


async def test_what_cannot_be_a_stream_id_is_refused(spine) -> None:
    for stream_id in ("", "a\n", "x" * 256, "\ud800"):
        with pytest.raises(InvalidId):
            await spine.append(stream_id, event(1), ONE)
        with pytest.raises(InvalidId):
            await spine.list_after(stream_id, None, ONE)


@pytest.mark.parametrize("stream_id", ["..", "../../x", "/etc", "CON", "a/b", "é²", "x" * 255])
async def test_any_other_text_is_a_stream(spine, stream_id) -> None:
    await spine.append(stream_id, event(stream_id), ONE)
    assert numbers((await spine.list_after(stream_id, None, ONE)).lines) == [stream_id]


async def test_limits_of_an_append(spine) -> None:
    with pytest.raises(TooLarge) as caught:
        await spine.append_batch("s", [event(n) for n in range(6)], ONE)
    assert caught.value.fields["limit"] == "batch_events_max"
    with pytest.raises(TooLarge) as caught:
        await spine.append_batch("s", [event(0), event("x" * 2000)], ONE)
    assert caught.value.fields["limit"] == "event_bytes_max"
    with pytest.raises(InvalidEvent):
        await spine.append_batch("s", [], ONE)
    assert (await spine.head("s", ONE)).cursor.sequence == 0


async def test_an_idempotency_key_names_the_events_of_a_body(spine) -> None:
    body = b'[{"event_type":"t","payload":{"n":1}},{"event_type":"t","payload":{"n":2}}]'
    first = await spine.append_json("s", body, ONE, idempotency_key="key")
    again = await spine.append_json("s", body, ONE, idempotency_key="key")
    assert again.lines == first.lines
    assert again.duplicates == 2
    await spine.append_json("s", body, ONE, idempotency_key="other")
    assert (await spine.head("s", ONE)).cursor.sequence == 4
