"""Changes of stores in the audit: which kinds, what is said, strictness (R-27, FN-07, FN-08)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventspine.bootstrap import KINDS, open_spine
from eventspine.contracts.audit import AUDIT_STREAM, AUDIT_SURFACE
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    AuditUnavailable,
    NoRouteConfigured,
    ObjectNotFound,
    StreamNotFound,
    StreamSealed,
)
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, LabSettings, Settings
from eventspine.services.audit import Audit
from eventspine.services.spine import Spine

pytestmark = pytest.mark.anyio
LAB = LabSettings()
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab", user_id="ada")
ALL = tuple(kind.value for kind in KINDS)


@asynccontextmanager
async def opened(
    root: Path, kinds: tuple[str, ...] | None = None, **audit: Any
) -> AsyncIterator[Spine]:
    chosen: dict[str, Any] = {} if kinds is None else {"kinds": kinds}
    settings = Settings(audit=AuditSettings(lookups=False, **chosen, **audit))
    async with open_spine(root, settings=settings) as spine:
        for kind in KINDS:
            spec = RouteSpec(resource_kind=kind, backend_type="memory", **LAB.model_dump())
            await spine.routes.create(spec)
        yield spine


async def told(spine: Spine) -> list[tuple[str, str, dict[str, Any]]]:
    """Action, phase and input of every record of a store, as they were kept."""
    await spine.audit.queue.settled()
    of = CONTEXT.model_copy(update={"surface_id": AUDIT_SURFACE})
    page = await spine.list_after(AUDIT_STREAM, None, of, limit=1000)
    payloads = [json.loads(line)["payload"] for line in page.lines]
    return [
        (one["action"], one["metadata"]["phase"], one["input_data"])
        for one in payloads
        if one["surface"] != "routing"
    ]


async def use_all(spine: Spine) -> None:
    """A change of every kind that has a service."""
    objects, vectors = spine.objects(CONTEXT), spine.vectors(CONTEXT)
    await objects.presign_upload("k", "text/plain")
    await objects.put_object("k", b"secret bytes", content_type="text/plain")
    await objects.register_asset("k", {"title": "private"})
    await objects.delete_object("k")
    await spine.tables(CONTEXT).upsert("people", "ann", {"ssn": "private"})
    await spine.tables(CONTEXT).delete("people", "ann")
    await spine.memory(CONTEXT).set("k", "private")
    await spine.memory(CONTEXT).delete("k")
    await spine.budget(CONTEXT).reserve("call-1", "acme", 10)
    await spine.budget(CONTEXT).commit("call-1", 5)
    await spine.metrics_store(CONTEXT).ingest("cpu", 1)
    await vectors.create_collection("docs", 2)
    await vectors.upsert("docs", "a", [1.0, 0.0], {"text": "private"})
    await vectors.delete_collection("docs")
    await spine.analytics(CONTEXT).ingest([{"event": "page_view", "user_id": "private"}] * 2)
    await spine.append("s", {"event_type": "x", "payload": {"ssn": "private"}}, CONTEXT)
    await spine.close_stream("s", CONTEXT)
    await spine.delete_stream("s", CONTEXT)


ACTIONS = [
    *("object.presign_upload", "object.put", "object.register_asset", "object.delete"),
    *("table.write", "table.delete", "memory.set", "memory.delete"),
    *("budget.reserve", "budget.commit", "metrics.ingest"),
    *("vector.create_collection", "vector.write", "vector.delete_collection"),
    *("analytics.ingest", "stream.close", "stream.delete"),
]


async def test_presign_and_register_are_recorded_without_being_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as spine:
        await use_all(spine)
        found = await told(spine)
        assert [(action, phase) for action, phase, _ in found] == [
            (action, "done") for action in ACTIONS[:4]
        ]
        assert found[0][2] == {"key": "k", "content_type": "text/plain"}


async def test_every_kind_that_is_named_is_recorded_and_no_content_of_it(tmp_path: Path) -> None:
    async with opened(tmp_path, ALL) as spine:
        await use_all(spine)
        found = await told(spine)
        assert [action for action, _, _ in found] == ACTIONS
        assert "private" not in json.dumps(found)
        assert {phase for _, phase, _ in found} == {"done"}
        written = next(given for action, _, given in found if action == "table.write")
        assert written == {"table_name": "people", "operations": {"items": 1}}
        given = {action: told for action, _, told in found}
        assert given["analytics.ingest"] == {"dataset": "events", "events": 2}
        assert given["stream.delete"] == {"stream_id": "s"}


async def test_strict_the_intent_comes_first_and_questions_leave_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, ALL, strict="always") as spine:
        await spine.tables(CONTEXT).upsert("people", "ann", 1)
        await spine.tables(CONTEXT).get("people", "ann")
        await spine.objects(CONTEXT).page()
        assert [phase for _, phase, _ in await told(spine)] == ["intent", "done"]


async def test_strict_what_cannot_be_audited_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, ALL, strict="always") as spine:
        tables = spine.tables(CONTEXT)

        async def lost(*_: object) -> None:
            raise AuditUnavailable("down")

        with monkeypatch.context() as patch:
            patch.setattr(Audit, "write", lost)
            with pytest.raises(AuditUnavailable):
                await tables.upsert("people", "ann", 1)
        assert await tables.get("people", "ann") is None
        await tables.upsert("people", "ann", 2)
        assert await tables.get("people", "ann") == 2


async def test_what_was_refused_is_recorded_as_failed(tmp_path: Path) -> None:
    async with opened(tmp_path) as spine:
        with pytest.raises(ObjectNotFound):
            await spine.objects(CONTEXT).register_asset("nothing", {})
        assert await told(spine) == [("object.register_asset", "failed", {"key": "nothing"})]


async def test_kinds_that_are_not_named_cost_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, ()) as spine:
        await use_all(spine)
        assert await told(spine) == []
        assert ResourceKind.OBJECT_STORE not in spine.audit.kinds


async def test_strict_a_stream_ends_after_its_intent_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, ALL, strict="always") as spine:
        await spine.append("s", {"event_type": "x", "payload": {}}, CONTEXT)
        assert await told(spine) == [], "an append is its own record"
        with monkeypatch.context() as patch:

            async def lost(*_: object) -> None:
                raise AuditUnavailable("down")

            patch.setattr(Audit, "write", lost)
            for end in (spine.close_stream, spine.delete_stream):
                with pytest.raises(AuditUnavailable):
                    await end("s", CONTEXT)
            with pytest.raises(AuditUnavailable):
                await spine.analytics(CONTEXT).ingest([{"event": "page_view", "user_id": "u"}])
        assert not (await spine.head("s", CONTEXT)).closed
        await spine.close_stream("s", CONTEXT)
        phases = [phase for action, phase, _ in await told(spine) if action == "stream.close"]
        assert sorted(phases) == ["done", "failed", "intent"]
        assert phases.index("intent") < phases.index("done")


async def test_what_is_sealed_or_not_there_leaves_no_intent(tmp_path: Path) -> None:
    async with opened(tmp_path, ALL, strict="always") as spine:
        audit = CONTEXT.model_copy(update={"surface_id": AUDIT_SURFACE})
        with pytest.raises(StreamSealed):
            await spine.delete_stream(AUDIT_STREAM, audit)
        away = CONTEXT.model_copy(update={"tenant_id": "nobody"})
        with pytest.raises(NoRouteConfigured):
            await spine.delete_stream("s", away)
        with pytest.raises(StreamNotFound):
            await spine.delete_stream("never", CONTEXT)
        phases = sorted(phase for _, phase, _ in await told(spine))
        assert phases == ["failed", "failed", "intent"], "of the one that is asked for at its place"
