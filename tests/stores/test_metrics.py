"""Metrics behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine import RequestContext
from eventspine.contracts.errors import (
    InvalidId,
    InvalidRequest,
    NoRouteConfigured,
    TooLarge,
    TooManySeries,
)
from eventspine.contracts.wire import WallClock
from eventspine.services.kpi import FileKpiRepository, default_kpi_repo
from eventspine.services.metrics import NewPoint
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio
T0 = 1_767_225_600  # 2026-01-01T00:00:00Z


async def test_the_seed_s_three_operations(opener: Opener) -> None:
    async with opener() as spine:
        metrics = spine.metrics_store(CONTEXT)
        assert await metrics.get_latest("latency_ms") is None
        assert await metrics.query("latency_ms") == []
        first = await metrics.ingest("latency_ms", 12.5, tags={"region": "eu"}, source="gateway")
        assert first[:2] == ("latency_ms", 12.5)
        assert first[3:] == ({"region": "eu"}, "gateway")
        second = await metrics.ingest("latency_ms", 7)
        await metrics.ingest("other", 1)
        assert await metrics.query("latency_ms") == [first, second]
        assert await metrics.query("latency_ms", tags={"region": "eu"}) == [first]
        assert await metrics.get_latest("latency_ms") == second
        assert await metrics.get_latest("latency_ms", tags={"region": "eu"}) == first
        assert [point.value for point in await metrics.latest_of_each()] == [7, 12.5, 1]


async def test_times_are_stated_or_now(opener: Opener) -> None:
    async with opener() as spine:
        spine._journals._clock = WallClock(lambda: T0 + 60.25)
        metrics = spine.metrics_store(CONTEXT)
        now = await metrics.ingest("m", 1)
        assert now.ts == "2026-01-01T00:01:00.250Z"
        for ts in (T0, "2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)):
            assert (await metrics.ingest("m", 0, ts=ts)).ts == "2026-01-01T00:00:00.000Z"
        assert await metrics.get_latest("m") == now, "what comes late is not the newest"
        ranged = await metrics.query("m", start=T0, end=T0 + 60)
        assert [point.value for point in ranged] == [0, 0, 0]
        assert await metrics.query("m", limit=1) == [now]
        windows = await metrics.aggregate("m", "count", step_s=60, start=T0)
        assert [(w.start, w.value) for w in windows.windows] == [
            ("2026-01-01T00:00:00.000Z", 3),
            ("2026-01-01T00:01:00.000Z", 1),
        ]
        hour = await metrics.aggregate("m", "sum", fill="none")
        assert (hour.start, hour.end) == ("2025-12-31T23:01:00.000Z", "2026-01-01T00:01:15.000Z")


async def test_a_restart_between_any_two_steps(opener: Opener, backend: str) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    dice = random.Random(1)
    values = [round(dice.gauss(100, 10), 3) for _ in range(6)]
    for n, value in enumerate(values):
        async with opener() as spine:
            metrics = spine.metrics_store(CONTEXT)
            await metrics.ingest("m", value, ts=T0 + n * 60, tags={"n": str(n % 2)})
            assert [p.value for p in await metrics.query("m")] == values[: n + 1]
            newest = await metrics.get_latest("m")
            assert newest is not None
            assert newest.value == value
            for aggregate, expected in (
                ("sum", sum(values[: n + 1])),
                ("p100", max(values[: n + 1])),
            ):
                day = await metrics.aggregate("m", aggregate, start=T0, end=T0 + 1, step_s=86_400)
                assert day.windows[0].value == pytest.approx(expected)


async def test_raw_jsonl_has_a_point_a_line(opener: Opener, backend: str, tmp_path: Path) -> None:
    if backend == "memory":
        pytest.skip("no files")
    async with opener() as spine:
        metrics = spine.metrics_store(CONTEXT)
        await metrics.ingest("m", 1, tags={"a": "b"}, source="s", ts=T0)
        await metrics.ingest("n", 2.5, ts=T0)
    file = tmp_path / "metrics_store/t_demo/dev/_/raw.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {name: lines[0][name] for name in ("metric_name", "value", "ts", "tags", "source")} == {
        "metric_name": "m",
        "value": 1,
        "ts": "2026-01-01T00:00:00.000Z",
        "tags": {"a": "b"},
        "source": "s",
    }
    assert (lines[1]["value"], lines[1]["sequence"]) == (2.5, 2)
    assert lines[1]["routing"]["tenant_id"] == "t_demo"


async def test_sixty_four_writers_lose_nothing(opener: Opener) -> None:
    async with opener() as spine:
        metrics = spine.metrics_store(CONTEXT)

        async def write(worker: int) -> None:
            for n in range(10):
                await metrics.ingest("m", worker * 10 + n, tags={"w": str(worker % 8)}, ts=T0 + n)

        async with anyio.create_task_group() as group:
            for worker in range(64):
                group.start_soon(write, worker)
        total = await metrics.aggregate("m", "sum", start=T0, end=T0 + 60, step_s=60)
        assert (total.windows[0].value, total.windows[0].count) == (sum(range(640)), 640)
        assert sorted(point.value for point in await metrics.query("m")) == list(range(640))


async def test_scopes_do_not_see_each_other(opener: Opener) -> None:
    async with opener() as spine:
        await spine.metrics_store(CONTEXT).ingest("m", 1)
        surface = CONTEXT.model_copy(update={"surface_id": "SQUARED²"})
        assert await spine.metrics_store(surface).get_latest("m") is None
        assert await spine.metrics_store(surface).latest_of_each() == []
        await spine.metrics_store(surface).ingest("m", 2)
        newest = await spine.metrics_store(CONTEXT).get_latest("m")
        assert newest is not None
        assert newest.value == 1


async def test_what_cannot_be_is_refused_and_changes_nothing(opener: Opener) -> None:
    limits = {"metrics_series_max": 2, "metrics_tags_max": 1, "batch_events_max": 3}
    async with opener(**limits, metrics_windows_max=5, metrics_buckets_read_max=3) as spine:
        metrics = spine.metrics_store(CONTEXT)
        wrong: Any
        for wrong in (float("nan"), float("inf"), -float("inf"), 2**64, 1e301, True, "1", None):
            with pytest.raises(InvalidRequest):
                await metrics.ingest("m", wrong)
        for name, tags in (("", {}), ("a\n", {}), ("m", {"": "x"}), ("m", {"x": ""})):
            with pytest.raises(InvalidId):
                await metrics.ingest(name, 1, tags=tags)
        with pytest.raises(TooLarge):
            await metrics.ingest("m", 1, tags={"a": "1", "b": "2"})
        with pytest.raises(TooLarge):
            await metrics.ingest_many([NewPoint("m", 1)] * 4)
        for ts in ("yesterday", "2026-01-01T00:00:00", -1, 1e15):
            with pytest.raises(InvalidRequest):
                await metrics.ingest("m", 1, ts=ts)
        with pytest.raises(TooManySeries) as many:
            await metrics.ingest_many([NewPoint("m", 1, {"n": str(n)}) for n in range(3)])
        assert many.value.fields == {"limit": "metrics_series_max", "maximum": 2, "actual": 3}
        assert await metrics.query("m") == []
        await metrics.ingest_many([NewPoint("m", 1, {"n": str(n)}, None, T0) for n in range(2)])
        await metrics.ingest("m", 2, tags={"n": "0"}, ts=T0 + 60)
        with pytest.raises(TooManySeries):
            await metrics.ingest("new", 1)
        await refuse_questions(metrics)


async def refuse_questions(metrics: Any) -> None:
    for wrong in (
        {"aggregate": "median"},
        {"aggregate": "sum", "start": T0 + 1, "end": T0},
        {"aggregate": "sum", "step_s": 0},
        {"aggregate": "sum", "step_s": 1e300},
        {"aggregate": "sum", "step_s": 0.0001},
        {"aggregate": "sum", "step_s": 1, "tier": "1m"},
        {"aggregate": "sum", "tier": "2m"},
        {"aggregate": "sum", "fill": "linear"},
    ):
        with pytest.raises(InvalidRequest):
            await metrics.aggregate("m", **wrong)
    with pytest.raises(InvalidRequest):
        await metrics.query("m", limit=0)
    with pytest.raises(TooLarge) as windows:
        await metrics.aggregate("m", "sum", start=T0, end=T0 + 3600, step_s=60)
    assert windows.value.fields["limit"] == "metrics_windows_max"
    await metrics.ingest("m", 3, tags={"n": "0"}, ts=T0 + 120)
    with pytest.raises(TooLarge) as buckets:
        await metrics.aggregate("m", "sum", start=T0, end=T0 + 180, step_s=60)
    assert buckets.value.fields["limit"] == "metrics_buckets_read_max"
    whole = await metrics.aggregate("m", "sum", start=T0, end=T0 + 180, step_s=3600)
    assert whole.windows[0].value == 7


async def test_percentiles_of_a_day_are_within_two_percent(opener: Opener) -> None:
    dice = random.Random(7)
    values = sorted(dice.paretovariate(1.5) for _ in range(6_000))
    shuffled = dice.sample(values, len(values))
    async with opener() as spine:
        metrics = spine.metrics_store(CONTEXT)
        for at in range(0, len(values), 3_000):
            await metrics.ingest_many(
                NewPoint("m", value, {"n": str(n % 3)}, None, T0 + n * 14)
                for n, value in enumerate(shuffled[at : at + 3_000], at)
            )
        for tier in ("1m", "1h", "1d"):
            day = await metrics.aggregate(
                "m", "p95", start=T0, end=T0 + 86_400, step_s=86_400, tier=tier
            )
            answered = day.windows[0].value
            assert answered is not None
            rank = sum(value <= answered for value in values) / len(values)
            assert abs(rank - 0.95) <= 0.02, f"{tier}: {rank}"


async def test_the_kpi_repository_records_lists_and_knows_the_latest(opener: Opener) -> None:
    async with opener() as spine:
        repository = default_kpi_repo(spine, CONTEXT)
        assert isinstance(repository, FileKpiRepository)
        assert await repository.list("north_star") == []
        assert await repository.latest("north_star") is None
        first = await repository.record("north_star", 0.4, tags={"team": "a"}, source="job")
        second = await repository.record("north_star", 0.5)
        assert await repository.list("north_star") == [first, second]
        assert await repository.latest("north_star") == second
        assert await spine.metrics_store(CONTEXT).get_latest("north_star") == second


async def test_without_a_route_the_kpi_repository_says_so(opener: Opener) -> None:
    async with opener() as spine:
        other = RequestContext(tenant_id="t_away", env="dev", mode="lab")
        with pytest.raises(NoRouteConfigured) as refused:
            default_kpi_repo(spine, other)
        assert str(refused.value) == "No route configured for metrics_store"
        with pytest.raises(RuntimeError, match="No route configured for metrics_store"):
            await spine.metrics_store(other).ingest("m", 1)


async def test_groups_and_charts(opener: Opener) -> None:
    async with opener(metrics_windows_max=60, metrics_raw_points_max=50) as spine:
        metrics = spine.metrics_store(CONTEXT)
        await metrics.ingest_many(
            NewPoint("m", 1000 if n == 1234 else n % 10, {"region": "eu" if n % 2 else "us"}, ts=n)
            for n in range(3000)
        )
        found = await metrics.aggregate_by("m", "count", ["region"], start=0, end=3000, step_s=300)
        assert [(one.tags, {w.value for w in one.windows}) for one in found.groups] == [
            ({"region": "eu"}, {150}),
            ({"region": "us"}, {150}),
        ]
        wide = await metrics.aggregate_by("m", "sum", ["none"], start=0, end=3000, step_s=3600)
        assert [(one.tags, len(one.windows)) for one in wide.groups] == [({"none": ""}, 1)]
        with pytest.raises(TooLarge):
            await metrics.aggregate_by("m", "sum", ["region"], start=0, end=3000, step_s=60)
        for names in ([], [""]):
            with pytest.raises((InvalidRequest, InvalidId)):
                await metrics.aggregate_by("m", "sum", names, start=0, end=3000, step_s=60)
        chart = await metrics.query("m", start=0, end=3000, downsample=40)
        assert (len(chart), chart[0].value, max(point.value for point in chart)) == (40, 0, 1000)
        assert len(await metrics.query("m", downsample=9999)) == 50, "lowered to the operator's"
        with pytest.raises(InvalidRequest):
            await metrics.query("m", downsample=2)
