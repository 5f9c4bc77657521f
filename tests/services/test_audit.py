"""The audit: records, looks at routes, the sealed stream, the queue."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

import eventspine
from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE
from eventspine.contracts.errors import AuditUnavailable, RegistryNotOpen, StoreFull, StreamSealed
from eventspine.contracts.route import ResourceKind, RouteKey
from eventspine.contracts.settings import AuditSettings
from eventspine.services.audit import Audit
from eventspine.services.audit_queue import AuditQueue
from tests.services.audited import CONTEXT, EVENT, Opener, members, opener, records, route

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return opener(tmp_path)


# --- records ---


def test_the_signature_is_the_one_that_was_asked_for() -> None:
    wanted = ["ctx", "action", "surface", "metadata", "input_data", "output_data"]
    for emit in (eventspine.emit_audit_event, Audit.emit_audit_event):
        parameters = inspect.signature(emit).parameters
        assert [name for name in parameters if name != "self"] == wanted
        assert parameters["surface"].default == "audit"
        assert [parameters[name].default for name in wanted[3:]] == [None, None, None]
        assert inspect.iscoroutinefunction(emit)


async def test_a_record_is_an_event_of_the_tenants_audit(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route())
        await eventspine.emit_audit_event(
            CONTEXT, "note.create", "notes", {"token": "s3cret"}, {"n": 1}, {"ok": True}
        )
        (found,) = await records(spine, "note.create")
        assert found["event_type"] == "audit"
        assert found["metadata"]["user_id"] == "ada"
        payload = found["payload"]
        assert (payload["surface"], payload["request_id"]) == ("notes", "r1")
        assert (payload["input_data"], payload["output_data"]) == ({"n": 1}, {"ok": True})
        assert payload["metadata"] == {"token": "[redacted]"}
    with pytest.raises(RegistryNotOpen):
        await eventspine.emit_audit_event(CONTEXT, "note.create")


async def test_a_record_survives_and_goes_on_in_one_dense_stream(opened: Opener) -> None:
    for _ in range(2):
        async with opened() as spine:
            if not spine.routes.list():
                await spine.routes.create(route(backend_type="filesystem", config={}))
            await spine.audit.emit_audit_event(CONTEXT, "one")
    async with opened() as spine:
        found = await records(spine)
        assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
        assert len([one for one in found if one["payload"]["action"] == "one"]) == 2


# --- looks ---


async def test_each_resolution_is_recorded_and_no_append_is(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route())
        for n in range(20):
            await spine.append(f"s{n}", EVENT, CONTEXT)
        spine.routes.get_route("event_stream", "t", "e", mode="lab")
        spine.routes.explain(RouteKey("event_stream", "t", "e", "default", "lab"))
        found = members(await records(spine, "routing.lookup"), "how", "resource_kind", "revision")
        assert found == [(how, "event_stream", 1) for how in ("binding", "resolve", "explain")]
        again = await records(spine)
        assert await records(spine) == again, "to read and to write the audit leaves no record"
        await spine.routes.update(route(name="b"))
        await spine.append("s", EVENT, CONTEXT)
        (bound,) = members(await records(spine, "routing.lookup"), "how", "revision")
        assert bound == ("binding", 2), "in the new backend"


async def test_opening_a_root_records_what_it_opens(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route(backend_type="filesystem", config={}))
    async with opened() as spine:
        found = members(await records(spine, "routing.lookup"), "how")
        assert ("start",) in found


async def test_looks_need_not_be_recorded(opened: Opener) -> None:
    async with opened(lookups=False) as spine:
        await spine.routes.create(route())
        await spine.append("s", EVENT, CONTEXT)
        assert await records(spine, "routing.lookup") == []


# --- the sealed stream ---


async def test_nobody_but_the_audit_writes_to_its_stream(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route())
        await spine.audit.emit_audit_event(CONTEXT, "one")
        on_audit = CONTEXT.model_copy(update={"surface_id": AUDIT_SURFACE})
        await spine.head(AUDIT_STREAM, on_audit)
        for _ in range(2):
            with pytest.raises(StreamSealed):
                await spine.append(AUDIT_STREAM, EVENT, on_audit)
            with pytest.raises(StreamSealed):
                await spine.append_batch(AUDIT_STREAM, [EVENT, EVENT], on_audit)
            with pytest.raises(StreamSealed):
                await spine.append_json(AUDIT_STREAM, b'{"event_type":"x","payload":{}}', on_audit)
            await spine.audit.emit_audit_event(CONTEXT, "two")
        with pytest.raises(StreamSealed):
            await spine.close_stream(AUDIT_STREAM, on_audit)
        with pytest.raises(StreamSealed):
            await spine.delete_stream(AUDIT_STREAM, on_audit)
        await spine.append("another", EVENT, on_audit)
        await spine.append(AUDIT_STREAM, EVENT, CONTEXT)
        assert len(await records(spine, "two")) == 2


# --- the queue ---


async def test_what_waits_is_bounded_and_what_is_lost_is_counted() -> None:
    gate, written = anyio.Event(), list[Mapping[str, Any]]()

    async def write(where: Any, stream_id: str, events: Any) -> None:
        await gate.wait()
        written.extend(events)

    queue = AuditQueue(write, AuditSettings(queue_max=5), lambda: 1.0)
    taken = [queue.post([CONTEXT], AUDIT_STREAM, {"n": n}) for n in range(8)]
    assert taken == [True] * 5 + [False] * 3
    assert queue.statistics(0, 0).lost == 3
    async with anyio.create_task_group() as tasks:
        await tasks.start(queue.run)
        gate.set()
        await queue.settled()
        tasks.cancel_scope.cancel()
    assert [one["n"] for one in written] == [0, 1, 2, 3, 4]
    assert len({one["event_id"] for one in written}) == 5
    assert queue.waiting == 0


async def test_a_place_that_fails_is_tried_again_and_the_others_do_not_wait() -> None:
    other = CONTEXT.model_copy(update={"tenant_id": "u"})
    fails, tried, written = 2, list[list[str]](), list[str]()
    came = anyio.Event()

    async def write(where: Any, stream_id: str, events: Any) -> None:
        nonlocal fails
        ids = [one["event_id"] for one in events]
        if where[0] is CONTEXT:
            tried.append(ids)
            if fails:
                fails -= 1
                raise AuditUnavailable("down") from StoreFull("down")
            came.set()
        written.append(where[0].tenant_id)

    queue = AuditQueue(write, AuditSettings(), lambda: 1.0)
    queue.post([CONTEXT], AUDIT_STREAM, {"n": 1})
    queue.post([other], AUDIT_STREAM, {"n": 2})
    async with anyio.create_task_group() as tasks:
        await tasks.start(queue.run)
        with anyio.fail_after(10):
            await came.wait()
        await queue.settled()
        tasks.cancel_scope.cancel()
    assert written == ["u", "t"]
    assert tried == [tried[0]] * 3, "the same ids, so that nothing is stored twice"
    assert (queue.waiting, queue.lost) == (0, 0)


async def test_a_place_without_a_route_loses_what_waits_for_it(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route(resource_kind=ResourceKind.TABULAR_STORE))
        await spine.tables(CONTEXT).upsert("t", "k", 1)
        with anyio.fail_after(10):
            await spine.audit.queue.settled()
        found = spine.audit.statistics()
        assert (found.waiting, found.stored) == (0, 0)
        assert found.lost >= 1
