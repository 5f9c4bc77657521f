"""Outcomes that a crash lost are in the audit again, once, and say what is known.

The product on a simulated disk, with a strict audit; a life ends at any operation of the disk, by a
kill or a power cut, the next one at any operation of what it fills in, and the third one judges.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE, audit_event, places
from eventspine.contracts.audit_outcome import key_of
from eventspine.contracts.context import RequestContext
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.settings import AuditSettings, Settings, StorageSettings
from eventspine.services.spine import Spine
from tests.inner import stride
from tests.services.audited import opener, route
from tests.services.test_audit_crashes import LAB, spec
from tests.simulation.lives import Kind, Lives

CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab", user_id="ada", request_id="r1")
AUDIT = RequestContext(tenant_id="t_demo", env="dev", mode="lab", surface_id=AUDIT_SURFACE)
EVENT = {"event_type": "x", "payload": {}}
KINDS_TOLD = ("event_stream", "tabular_store", "analytics_store")
SETTINGS = Settings(
    lab=LAB,
    audit=AuditSettings(strict="always", kinds=KINDS_TOLD),
    storage=StorageSettings(log_segment_bytes=64 * 1024),
)


async def payloads(spine: Spine, context: RequestContext = AUDIT) -> list[dict[str, Any]]:
    page = await spine.list_after(AUDIT_STREAM, None, context, limit=1000)
    return [json.loads(line)["payload"] for line in page.lines]


def is_recovered(payload: dict[str, Any]) -> bool:
    return bool((payload["metadata"] or {}).get("recovered"))


async def found(spine: Spine) -> None:
    for kind in (ResourceKind.EVENT_STREAM, ResourceKind.TABULAR_STORE):
        if spine.routes.find(spec(kind).key) is None:
            await spine.routes.create(spec(kind))


async def story(spine: Spine) -> None:
    """Changes of routes, of streams and of a table, one after the other."""
    await spine.append("s", EVENT, CONTEXT)
    await spine.tables(CONTEXT).upsert("t", "k", 1)
    await spine.close_stream("s", CONTEXT)
    await spine.routes.update(spec(ResourceKind.TABULAR_STORE, "b"))
    await spine.delete_stream("s", CONTEXT)


async def use(spine: Spine) -> None:
    """A life that does nothing but use the audit, and so fills in what the one before lost."""
    await spine.audit.emit_audit_event(CONTEXT, "note.read")
    await spine.lost_outcomes.settled()


async def judge(spine: Spine) -> None:
    await use(spine)
    records = [one for one in await payloads(spine) if key_of(one) is not None]
    phases = Counter((key_of(one), one["metadata"]["phase"] == "intent") for one in records)
    for key, is_intent in list(phases):
        if is_intent:
            assert phases[key, False] == 1, f"{key} has one outcome"
            assert phases[key, True] == 1
    changes = await spine.routes.history.entries({}, None, 99)
    history = {change.revision: change.at.isoformat() for change in changes}
    for one in records:
        told = one["metadata"]
        if not told.get("recovered"):
            continue
        applied = one["output_data"]["found"] == "applied"
        if one["action"] == "routing.update":
            assert applied == (history.get(told["revision_after"]) == told["at"])
            assert told["phase"] == ("done" if applied else "failed")
        elif one["action"] == "table.write":
            assert told["phase"] == "unknown", "a journal keeps no name of who asked"
        else:
            head = await spine.head("s", CONTEXT)
            assert not applied or head.closed or not head.cursor.sequence


LIVES = Lives(SETTINGS, found)


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_anywhere_leaves_one_outcome_for_each_intent(kind: Kind) -> None:
    begin, end = LIVES.operations(story)
    recovered = 0
    for crash_at in range(begin + (kind == "power"), end + 1, 2 * stride(3)):  # both: at each
        disk = LIVES.crash(crash_at, kind, story).disk
        seen: list[dict[str, Any]] = []

        async def look(spine: Spine, seen: list[dict[str, Any]] = seen) -> None:
            await judge(spine)
            seen += [one for one in await payloads(spine) if is_recovered(one)]

        try:
            LIVES.live(disk, look, crash_at)
            first = len(seen)
            LIVES.live(disk, look, crash_at)
            assert len(seen) == 2 * first, "the next life adds nothing"
        except BaseException:
            print(f"{kind} at operation {crash_at} of {end}, seed {crash_at}")
            raise
        recovered += bool(seen)
    assert recovered * stride(3) >= 3, "some crashes lost an outcome"


def test_a_crash_while_it_is_filled_in_is_made_good_by_the_next_life() -> None:
    """The life that fills it in is cut too, by a power cut, at operations of its own."""
    begin, end = LIVES.operations(story)
    cut = 0
    for crash_at in random.Random(4).sample(range(begin, end), 2):
        whole = LIVES.crash(crash_at, "process", story).disk
        start = whole.operations
        LIVES.live(whole, use, crash_at)
        for again_at in range(start + 1, whole.operations + 1, 3 * stride(3)):
            disk = LIVES.crash(crash_at, "process", story).disk
            disk.crash_at = again_at
            LIVES.live(disk, use, crash_at)
            cut += disk.is_down
            disk.crash("power")
            try:
                LIVES.live(disk, judge, crash_at)
            except BaseException:
                print(f"cut at {crash_at}, then at {again_at}")
                raise
    assert cut * stride(3) > 10, "the second crashes came"


# --- on every loop ---


async def intend(
    spine: Spine, context: RequestContext, action: str, kind: str, **told: Any
) -> None:
    """An intent as a life leaves it that ends right after."""
    change = f"{action} {told}"
    metadata = {"phase": "intent", "change": change, "surface_id": context.surface_id}
    event = audit_event(context, action, kind, metadata, told)
    await spine.audit.record(places(context), event, action)


PROD = RequestContext(tenant_id="t", env="e", mode="prod", user_id="ada", request_id="r1")


async def recovered(spine: Spine, context: RequestContext = PROD) -> list[tuple[str, str, str]]:
    await spine.audit.emit_audit_event(context, "note.read")
    await spine.lost_outcomes.settled()
    place = context.model_copy(update={"surface_id": AUDIT_SURFACE})
    return [
        (one["action"], one["metadata"]["phase"], one["output_data"]["found"])
        for one in await payloads(spine, place)
        if is_recovered(one)
    ]


@pytest.mark.anyio
async def test_of_a_stream_it_is_told_what_is_found(tmp_path: Path) -> None:
    opened = opener(tmp_path)
    async with opened(lookups=False) as spine:
        await spine.routes.create(route(PROD, backend_type="filesystem", config={}))
        for name in ("closed", "open"):
            await spine.append(name, EVENT, PROD)
        await spine.close_stream("closed", PROD)
        for action, name in [("close", "closed"), ("delete", "gone"), ("delete", "open")]:
            await intend(spine, PROD, f"stream.{action}", "event_stream", stream_id=name)
        await intend(spine, PROD, "stream.close", "event_stream", stream_id="open")
        await intend(spine, PROD, "object.put", "object_store", key="k")
    async with opened(lookups=False) as spine:
        told = await recovered(spine)
        assert told == [
            ("stream.close", "done", "applied"),
            ("stream.delete", "done", "applied"),
            ("stream.delete", "unknown", "unknown"),
            ("stream.close", "unknown", "unknown"),
            ("object.put", "unknown", "unknown"),
        ]
    async with opened(lookups=False) as spine:
        assert await recovered(spine) == told, "once"


@pytest.mark.anyio
async def test_what_this_life_intends_is_not_lost(tmp_path: Path) -> None:
    async with opener(tmp_path)(lookups=False) as spine:
        await spine.routes.create(route(PROD))
        await intend(spine, PROD, "object.put", "object_store", key="k")
        assert await recovered(spine) == []
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(recovered, spine)
        assert await recovered(spine) == []
