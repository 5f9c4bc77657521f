"""A crash at any disk operation of a change of routes: no change without its durable intent.

The whole product on a simulated disk, with a strict audit; each life ends at another operation, by
a kill or a power cut. The next life looks: every revision of the registry but the one that founded
the audit has its intent; an outcome that says `done` is of a revision that is there; an intent
without an outcome is the last thing that happened.
"""

from __future__ import annotations

import json

import pytest

from eventspine.contracts.context import RequestContext
from eventspine.contracts.route import ResourceKind, RouteSpec
from eventspine.contracts.settings import AuditSettings, LabSettings, Settings, StorageSettings
from eventspine.services.spine import Spine
from tests.inner import stride
from tests.simulation.lives import Kind, Lives

LAB = LabSettings()
AUDIT = RequestContext(tenant_id="t_demo", env="dev", mode="lab", surface_id="audit")
SETTINGS = Settings(
    lab=LAB,
    audit=AuditSettings(strict="always"),
    storage=StorageSettings(log_segment_bytes=64 * 1024),
)


def spec(kind: ResourceKind, name: str | None = None) -> RouteSpec:
    backend = "filesystem" if name is None else "memory"
    config = {} if name is None else {"name": name}
    return RouteSpec(resource_kind=kind, backend_type=backend, config=config, **LAB.model_dump())


async def found(spine: Spine) -> None:
    if not spine.routes.list():
        await spine.routes.create(spec(ResourceKind.EVENT_STREAM))


class Story:
    """Three changes. Notes which of them were answered."""

    def __init__(self) -> None:
        self.answered = 0

    async def run(self, spine: Spine) -> None:
        self.answered = 1
        tables = ResourceKind.TABULAR_STORE
        await spine.routes.create(spec(tables, "a"))
        self.answered = 2
        await spine.routes.update(spec(tables, "b"))
        self.answered = 3
        await spine.routes.delete(spec(tables).key)
        self.answered = 4

    async def judge(self, spine: Spine) -> None:
        revision = spine.routes.revision
        assert revision >= self.answered, "what was answered is there"
        page = await spine.list_after("audit", None, AUDIT, limit=1000)
        records = [json.loads(line)["payload"] for line in page.lines]
        updates = [one["metadata"] for one in records if one["action"] == "routing.update"]
        seen: dict[str, set[int]] = {"intent": set(), "done": set(), "failed": set()}
        for one in updates:
            seen[one["phase"]].add(one["revision_after"])
        assert seen["intent"] >= set(range(2, revision + 1)), "no change without its intent"
        assert seen["done"] <= set(range(1, revision + 1)), "done is what is done"
        unsettled = seen["intent"] - seen["done"]
        assert unsettled <= {max(seen["intent"], default=0)}


LIVES = Lives(SETTINGS, found)


@pytest.mark.parametrize("kind", ["process", "power"])
def test_a_crash_at_any_disk_operation_leaves_no_change_without_its_intent(
    kind: Kind,
) -> None:
    begin, end = LIVES.operations(Story().run)
    crashes = 0
    assert end - begin > 15, "there is something to crash in"
    for crash_at in range(begin // 2, end + 1, stride(5)):
        story = Story()
        disk, came = LIVES.crash(crash_at, kind, story.run)
        crashes += came
        try:
            LIVES.live(disk, story.judge, crash_at)
        except BaseException:
            print(f"{kind} at operation {crash_at} of {end}, seed {crash_at}")
            raise
    assert crashes * stride(5) > 15, "the crashes came"
