"""Changes of routes in the audit: before and after, strict or not, and on the timeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine.bootstrap import open_spine
from eventspine.bootstrap.environment import with_environment
from eventspine.contracts.audit import TIMELINE_STREAM
from eventspine.contracts.errors import (
    AuditUnavailable,
    RouteConflict,
    SettingsInvalid,
    StoreFull,
    TooLarge,
)
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.settings import AuditSettings, Settings
from tests.services.audited import CONTEXT, EVENT, SYSTEM, Opener, members, opener, records, route

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return opener(tmp_path)


# --- changes ---


async def test_a_change_is_recorded_before_and_after_with_who_why_and_what(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route())
        spec = route(resource_kind=ResourceKind.TABULAR_STORE, reason="tables")
        await spine.routes.create(spec, by="bob")
        intent, done = (await records(spine, "routing.update"))[-2:]
        names = ("phase", "action", "by", "reason", "revision_before", "revision_after")
        assert members([intent, done], *names) == [
            (phase, "create", "bob", "tables", 1, 2) for phase in ("intent", "done")
        ]
        assert members([intent], "change") == members([done], "change")
        (row,) = intent["payload"]["input_data"]["rows"]
        assert (row["key"], row["before"], row["after"]) == ("/".join(spec.key), None, 2)
        assert row["diff"][0]["value"]["config"] == {"name": "a"}
        assert done["payload"]["output_data"]["state"] == {"/".join(spec.key): "serving"}
        await spine.routes.update(spec.model_copy(update={"tier": "gold"}))
        await spine.routes.rollback(2)
        await spine.routes.delete(spec.key)
        actions = members(await records(spine, "routing.update"), "phase", "action")[3:]
        expected = [
            (phase, action)
            for action in ("update", "rollback", "delete")
            for phase in ("intent", "done")
        ]
        assert actions == expected


async def test_a_change_of_many_scopes_is_recorded_with_each(opened: Opener) -> None:
    async with opened() as spine:
        other = CONTEXT.model_copy(update={"tenant_id": "u"})
        await spine.routes.create(route())
        await spine.routes.create(route(other))
        await spine.routes.rollback(0, by="eve")
        await spine.routes.rollback(2)
        for context in (CONTEXT, other):
            (found, *_) = members(await records(spine, "routing.update", context), "phase")
            assert found == ("done",), "founding; what came after went with the route"


async def test_a_change_that_cannot_be_saved_is_recorded_as_failed(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as spine:
        await spine.routes.create(route())

        async def full(*_: object, **__: object) -> None:
            raise StoreFull("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(spine.routes._store, "save", full)
            with pytest.raises(StoreFull):
                await spine.routes.update(route(name="b"))
        phases = members(await records(spine, "routing.update"), "phase", "revision_after")
        assert phases[-2:] == [("intent", 2), ("failed", 2)]
        assert spine.routes.revision == 1


async def test_a_change_that_is_refused_leaves_no_record(opened: Opener) -> None:
    async with opened() as spine:
        made = await spine.routes.create(route())
        before = await records(spine)
        with pytest.raises(RouteConflict):
            await spine.routes.update(route(name="b"), made.revision + 1)
        assert await records(spine) == before


# --- strict or not ---


async def test_strict_nothing_is_changed_that_cannot_be_audited(opened: Opener) -> None:
    async with opened(strict="always") as spine:
        with pytest.raises(AuditUnavailable):
            await spine.routes.create(route(resource_kind=ResourceKind.TABULAR_STORE))
        assert (spine.routes.revision, spine.routes.list()) == (0, [])
        assert await spine.routes.history.entries({}, None, 10) == []
        with pytest.raises(AuditUnavailable) as caught:
            await spine.audit.emit_audit_event(CONTEXT, "note.create")
        assert "No route configured for event_stream" in caught.value.detail
        await spine.routes.create(route())  # makes a place, so it is its own exception
        (founding,) = (await records(spine, "routing.update"))[:1]
        assert founding["payload"]["metadata"]["founding"] is True
        await spine.routes.create(route(resource_kind=ResourceKind.TABULAR_STORE))


@pytest.mark.parametrize("strict", ["always", "never"])
async def test_a_record_that_is_too_large_is_as_one_that_cannot_be_kept(
    tmp_path: Path, strict: Any
) -> None:
    settings = Settings(audit=AuditSettings(strict=strict), limits=Limits(event_bytes_max=500))
    async with open_spine(tmp_path, settings=settings) as spine:
        await spine.routes.create(route())
        if strict == "always":
            with pytest.raises(AuditUnavailable):
                await spine.routes.update(route(name="b" * 400))
        else:
            await spine.routes.update(route(name="b" * 400))
        assert spine.routes.revision == (1 if strict == "always" else 2)
        with pytest.raises(TooLarge):
            await spine.audit.emit_audit_event(CONTEXT, "one", metadata={"a": "b" * 1000})


async def test_strict_is_the_default_outside_lab_and_not_in_it(opened: Opener) -> None:
    async with opened() as spine:
        tables = ResourceKind.TABULAR_STORE
        with pytest.raises(AuditUnavailable):
            await spine.routes.create(route(mode="prod", resource_kind=tables))
        await spine.routes.create(route(resource_kind=tables))
        assert spine.routes.revision == 1
        assert spine.audit.statistics().failed >= 2


async def test_strict_a_change_fails_when_the_backend_of_the_audit_fails(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(strict="always") as spine:
        await spine.routes.create(route())
        (host,) = spine._hosts

        def full(batch: object) -> None:
            raise StoreFull("no space left")

        assert host.writer is not None
        with monkeypatch.context() as patch:
            patch.setattr(host.store, "commit", full)
            patch.setattr(host.writer.thread, "commit", full)
            with pytest.raises(AuditUnavailable) as caught:
                await spine.routes.update(route(name="b"))
            assert isinstance(caught.value.__cause__, StoreFull)
        assert spine.routes.revision == 1
        await spine.routes.update(route(name="b"))
        assert spine.routes.revision == 2


async def test_what_the_tenant_cannot_keep_the_system_does_so_that_repairs_work(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(strict="always") as spine:
        await spine.routes.create(route(SYSTEM, "system"))
        await spine.routes.create(route())
        host = next(one for one in spine._hosts if one.name == "memory:a")

        def full(batch: object) -> None:
            raise StoreFull("no space left")

        assert host.writer is not None
        monkeypatch.setattr(host.writer.thread, "commit", full)
        await spine.routes.update(route(name="b"), by="bob")
        intent = (await records(spine, "routing.update", SYSTEM))[-1]["payload"]["metadata"]
        assert (intent["phase"], intent["revision_after"]) == ("intent", 3)
        assert intent["recorded_for"]["tenant_id"] == "t"
        (done,) = await records(spine, "routing.update")
        assert done["payload"]["metadata"]["phase"] == "done", "where the route leads now"


async def test_a_record_that_waits_too_long_is_not_kept(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(strict="always", store_s_max=0.05) as spine:
        await spine.routes.create(route())

        async def never(*_: object) -> None:
            await anyio.sleep_forever()

        monkeypatch.setattr(spine.audit, "_append", never)
        with pytest.raises(AuditUnavailable) as caught:
            await spine.routes.update(route(name="b"))
        assert caught.value.detail == "no audit record: no answer within 0.05 s"
        assert spine.routes.revision == 1


@pytest.mark.parametrize(
    ("stated", "variable", "strict"),
    [
        (None, "", "outside_lab"),
        (None, "1", "always"),
        (None, "0", "never"),
        ("never", "true", "always"),
        ("always", "0", "always"),
        ("outside_lab", "0", "outside_lab"),
    ],
)
def test_the_variable_makes_strict_and_lenient_only_what_nobody_stated(
    stated: Any, variable: str, strict: str
) -> None:
    audit = AuditSettings() if stated is None else AuditSettings(strict=stated)
    found = with_environment(Settings(audit=audit), {"AUDIT_STRICT": variable})
    assert found.audit.strict == strict
    assert with_environment(found, {}) is found
    with pytest.raises(SettingsInvalid):
        with_environment(found, {"AUDIT_STRICT": "perhaps"})


async def test_a_strict_root_starts_again(opened: Opener) -> None:
    async with opened(strict="always") as spine:
        await spine.routes.create(route(backend_type="filesystem", config={}))
    with anyio.fail_after(30):
        async with opened(strict="always") as spine:
            await spine.routes.update(route(name="b"))
            await spine.append("s", EVENT, CONTEXT)


# --- the timeline ---


async def test_changes_are_on_the_timeline_to_be_followed(opened: Opener) -> None:
    async with opened() as spine:
        await spine.routes.create(route(SYSTEM, "system"))
        async with await spine.subscribe(TIMELINE_STREAM, SYSTEM) as reader:
            await spine.routes.create(route(reason="new"), by="bob")
            found: list[Any] = []
            with anyio.fail_after(10):
                while len(found) < 2:
                    piece = await reader.next()
                    found += [] if piece is None else piece.events
        founding, made = (one for one in found if one.event_type == "routing.update")
        assert (founding.payload["revision"], made.payload["revision"]) == (1, 2)
        assert (made.payload["by"], made.payload["reason"]) == ("bob", "new")
        assert made.payload["rows"][0]["key"] == "event_stream/t/e/default/lab"
