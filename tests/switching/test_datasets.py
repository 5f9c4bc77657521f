"""Datasets move as the streams they are; what was put aside of them is made anew."""

from __future__ import annotations

import pytest

from eventspine import Spine
from eventspine.contracts.route import ResourceKind
from eventspine.contracts.switch import SwitchState
from tests.switching.conftest import CONTEXT, Direction, Opener, key_of, lead, verified
from tests.switching.test_stragglers import late

pytestmark = pytest.mark.anyio
KIND = ResourceKind.ANALYTICS_STORE
KEY = key_of(KIND)


def views(*numbers: int) -> list[dict[str, object]]:
    return [{"event": "view", "event_id": f"v{n}", "user_id": f"u{n % 3}"} for n in numbers]


async def count(spine: Spine, dataset: str = "events") -> int:
    ((found,),) = (await spine.analytics(CONTEXT, dataset).query({})).rows
    return int(found)


async def test_a_dataset_is_the_same_behind_the_new_backend_and_back(
    opener: Opener, direction: Direction
) -> None:
    async with opener(analytics_segment_events=4) as spine:
        await lead(spine, direction.source, KIND)
        analytics = spine.analytics(CONTEXT)
        await analytics.ingest(views(*range(10)))
        await analytics.compact()
        await verified(spine, direction.target, KEY)
        await analytics.ingest(views(10, 11))
        switched = await spine.switches.switch(KEY)
        assert switched.state is SwitchState.SWITCHED
        assert await count(spine) == 12
        again = await analytics.ingest(views(9, 10, 12))
        assert (again.stored, again.duplicates) == (1, 2), "ids are known there"
        await analytics.compact()
        assert await count(spine) == 13
        await spine.switches.verify(KEY)
        assert spine.switches.get(KEY).error is None
        await spine.switches.reverse(KEY)
        await analytics.ingest(views(13))
        await analytics.compact()
        assert await count(spine) == 14
        await spine.switches.finish(KEY)
        await analytics.ingest(views(14))
        await verified(spine, direction.target, KEY)
        await spine.switches.switch(KEY)
        assert await count(spine) == 15, "later again, onto what was left there"


async def test_events_that_got_to_the_old_backend_are_stored_at_the_new_one(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(spine: Spine) -> None:
        assert (await spine.analytics(CONTEXT, "late").ingest(views(1, 2))).stored == 2

    async def judge(spine: Spine) -> None:
        assert await count(spine, "late") == 2
        again = await spine.analytics(CONTEXT, "late").ingest(views(2))
        assert again.duplicates == 1

    async def prepare(spine: Spine) -> None:
        await spine.analytics(CONTEXT).ingest(views(0))

    await late(opener, monkeypatch, prepare, work, judge, KIND)
