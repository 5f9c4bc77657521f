"""What /metrics and `statistics()` say of switches while they move a route there and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from eventspine import Spine
from eventspine.api.metrics import Metrics
from eventspine.contracts.route import ResourceKind
from eventspine.services.switching import service
from eventspine.services.switching.statistics import SwitchStatistics
from tests.actors.faulty import Faults
from tests.switching.conftest import (
    CONTEXT,
    FILES,
    KEY,
    MEMORY,
    OTHER_FILES,
    Opener,
    key_of,
    lead,
    level,
    verified,
)
from tests.switching.test_following import event, open_with_faults

pytestmark = pytest.mark.anyio


def of_streams(spine: Spine) -> SwitchStatistics:
    return next(one for one in spine.statistics().switches if one.name == "event_stream")


def exposed(spine: Spine) -> dict[str, float]:
    """The samples of switches, by name and labels."""
    text = Metrics(spine, {}).exposition().decode()
    lines = [line for line in text.splitlines() if line.startswith("eventspine_switches")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_there_and_back(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opener() as spine:
        await lead(spine, FILES)
        assert spine.statistics().switches == ()
        await spine.append_batch("chat", [event(n) for n in range(100)], CONTEXT)
        await spine.switches.start(KEY, OTHER_FILES)
        assert dict(of_streams(spine).by_state) == {"prepared": 1}
        assert of_streams(spine).verified_age_s is None
        await spine.switches.cancel(KEY)

        found = (await verified(spine, OTHER_FILES)).verification
        assert found is not None
        stated = of_streams(spine)
        assert dict(stated.by_state) == {"cancelled": 1, "verified": 1}
        assert (stated.streams, stated.lagging_streams) == (found.streams, 0)
        assert stated.copied_events == found.events >= 100
        assert stated.longest_pause_s == 0.0

        at = found.at

        class Later(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                assert tz is UTC
                return at + timedelta(hours=1)

        monkeypatch.setattr(service, "datetime", Later)
        assert of_streams(spine).verified_age_s == 3600
        switched = await spine.switches.switch(KEY)
        assert switched.pause_ms is not None
        longest = of_streams(spine).longest_pause_s
        assert round(1000 * longest, 3) == switched.pause_ms
        await spine.switches.wait_level(KEY)
        await spine.switches.reverse(KEY)
        assert of_streams(spine).longest_pause_s >= longest
        await spine.switches.finish(KEY)
        done = of_streams(spine)
        assert dict(done.by_state) == {"cancelled": 1, "finished": 1}
        assert done.streams == 0
        assert done.copied_events >= stated.copied_events, "a counter only grows"
        assert done.verified_age_s is None, "of open switches"


async def test_what_is_under_way_and_what_lags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_with_faults(tmp_path, monkeypatch) as (spine, faults):
        await level(spine, MEMORY)
        faults.hold()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(spine.append, "chat", event(1), CONTEXT)
            await faults.held()
            stated = of_streams(spine)
            assert stated.under_way_commits == 1
            assert stated.under_way_bytes > 10
            faults.release()
        assert of_streams(spine).under_way_commits == 0
        await fails_once(spine, faults)


async def fails_once(spine: Spine, faults: Faults) -> None:
    faults.error = OSError("the target is gone")
    await spine.append("chat", event(2), CONTEXT)
    stated = of_streams(spine)
    assert stated.falls == 1
    assert stated.lagging_streams == stated.streams > 0


async def test_they_are_exposed_by_kind(opener: Opener) -> None:
    kind = ResourceKind.TABULAR_STORE
    async with opener() as spine:
        await lead(spine, FILES)
        await lead(spine, FILES, kind)
        await spine.tables(CONTEXT).upsert("t", "k", {"v": 1})
        await verified(spine, OTHER_FILES, key_of(kind))
        await spine.switches.switch(key_of(kind))
        await spine.switches.start(KEY, OTHER_FILES)
        found = exposed(spine)
    assert found['eventspine_switches_by_state{name="tabular_store",of="switched"}'] == 1
    assert found['eventspine_switches_by_state{name="event_stream",of="prepared"}'] == 1
    assert found['eventspine_switches_copied_events_total{name="tabular_store"}'] == 1
    assert found['eventspine_switches_copied_bytes_total{name="tabular_store"}'] > 10
    assert found['eventspine_switches_falls_total{name="tabular_store"}'] == 0
    assert found['eventspine_switches_lagging_streams{name="tabular_store"}'] == 0
    assert found['eventspine_switches_under_way_commits{name="tabular_store"}'] == 0
    assert found['eventspine_switches_under_way_bytes{name="tabular_store"}'] == 0
    assert 0 <= found['eventspine_switches_verified_age_s{name="tabular_store"}'] < 60
    assert 0 < found['eventspine_switches_longest_pause_s{name="tabular_store"}'] < 2
    assert 'eventspine_switches_verified_age_s{name="event_stream"}' not in found
