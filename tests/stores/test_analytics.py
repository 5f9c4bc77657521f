"""The analytics store behind a spine: both backends, both loops, and over restarts on files."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

import eventspine
from eventspine import RequestContext, Settings
from eventspine.adapters.filesystem.disk import Disk
from eventspine.contracts.errors import (
    EventConflict,
    ExtraMissing,
    InvalidAnalyticsEvent,
    InvalidId,
    InvalidJson,
    InvalidRequest,
    NoRouteConfigured,
    Overloaded,
    QueryTooExpensive,
    TooLarge,
)
from eventspine.contracts.limits import Limits
from eventspine.services.analytics.sql import Statement
from eventspine.services.analytics.turns import Turns
from eventspine.testing.virtual_time import backend_of
from tests.stores.conftest import CONTEXT, LAB, Opener

pytestmark = pytest.mark.anyio
FOLDER = "analytics_store/t_demo/dev/_"
ENDLESS = (
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range % 7 = 3"
)

HUNGRY = "SELECT list(a.range || 'some text that is long') FROM range(10000000) a"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """What uvloop is for has nothing to do with an engine on a thread."""
    return backend_of(request.param)


def views(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "event": "page_view",
            "event_id": f"view {n}",
            "time": f"2026-11-{1 + n % 28:02d}T10:00:00Z",
            "user_id": f"u{n % 3}",
            "properties": {"path": f"/{n % 2}", "ms": n},
            **more,
        }
        for n in numbers
    ]


async def count(analytics: Any, **asked: Any) -> int:
    answer = await analytics.query(asked)
    found: int = answer.rows[0][0]
    return found


async def test_the_life_of_a_dataset(opener: Opener) -> None:
    async with opener() as spine:
        analytics = spine.analytics(CONTEXT)
        assert await count(analytics) == 0
        done = await analytics.ingest(views(*range(10)))
        assert (done.stored, done.duplicates) == (10, 0)
        again = await analytics.ingest(views(*range(5, 12)))
        assert (again.stored, again.duplicates) == (2, 5)
        assert await count(analytics) == 12
        answer = await analytics.query(
            {
                "from": "2026-11-02T00:00:00Z",
                "events": ["page_view"],
                "where": {"ms": {"lt": 11}},
                "group_by": ["path"],
                "measures": [
                    {"measure": "count"},
                    {"measure": "users"},
                    {"measure": "sum", "property": "ms"},
                    {"measure": "percentile", "property": "ms", "percent": 50, "as": "half"},
                ],
                "order": [{"column": "sum_ms", "descending": True}],
            }
        )
        assert answer.columns == ["path", "count", "users", "sum_ms", "half"]
        assert answer.rows == [["/0", 5, 3, 30.0, 6.0], ["/1", 5, 3, 25.0, 5.0]]
        assert (answer.more, answer.head) == (False, again.head)
        first = await analytics.query({"bucket": "day", "limit": 1})
        assert (first.rows, first.more) == ([["2026-11-01T00:00:00Z", 1]], True)
        with pytest.raises(EventConflict):
            await analytics.ingest(views(3, event="other"))
        assert (
            await analytics.ingest_json(b'{"event":"a"}\n{"event":"b"}', ndjson=True)
        ).stored == 2
        keyed = [{"event": "c"}, {"event": "d"}]
        assert (await analytics.ingest(keyed, idempotency_key="k")).stored == 2
        assert (await analytics.ingest(keyed, idempotency_key="k")).duplicates == 2
        assert await count(analytics) == 16


async def test_a_funnel_and_who_comes_back(opener: Opener) -> None:
    def event(name: str, user: str, day: int, **properties: Any) -> dict[str, Any]:
        time = f"2026-11-{day:02d}T08:00:00Z"
        return {"event": name, "user_id": user, "time": time, "properties": properties}

    async with opener() as spine:
        analytics = spine.analytics(CONTEXT)
        await analytics.ingest(
            [
                event("purchase", "late", 1),  # before the view: no step
                event("view", "late", 2, source="ads"),
                event("view", "buyer", 2, source="news"),
                event("signup", "buyer", 3),
                event("view", "slow", 2, source="news"),
                event("purchase", "buyer", 4),
                event("signup", "slow", 5),
                event("purchase", "slow", 20),  # out of the window
            ]
        )
        steps = [{"event": name} for name in ("view", "signup", "purchase")]
        plain = await analytics.funnel({"steps": steps, "window_s": 7 * 86_400})
        assert plain.columns == ["step", "event", "users", "of_first", "of_previous", "median_s"]
        assert plain.rows == [
            [1, "view", 3, 1.0, 1.0, 0.0],
            [2, "signup", 2, 2 / 3, 2 / 3, 2 * 86_400.0],
            [3, "purchase", 1, 1 / 3, 0.5, 2 * 86_400.0],
        ]
        by = await analytics.funnel(
            {"steps": steps, "window_s": 7 * 86_400, "breakdown": "source", "limit": 1}
        )
        assert [row[:4] for row in by.rows] == [
            ["news", 1, "view", 2],
            ["news", 2, "signup", 2],
            ["news", 3, "purchase", 1],
        ]
        assert by.more
        nobody = await analytics.funnel({"steps": [{"event": "none"}, {"event": "view"}]})
        assert [row[2:] for row in nobody.rows] == [[0, None, None, None]] * 2
        back = await analytics.retention(
            {"begin": {"event": "view"}, "back": {"event": "purchase"}, "periods": 3}
        )
        assert back.columns == ["day", "users", "+0", "+1", "+2", "+3"]
        assert back.rows == [["2026-11-02T00:00:00Z", 3, 0, 0, 1, 0]]


async def test_what_conversions_are_owed_to(opener: Opener) -> None:
    async with opener() as spine:
        analytics = spine.analytics(CONTEXT)
        await analytics.ingest(
            [
                {"event": event, "user_id": user, "time": f"2026-11-{day:02d}T08:00:00Z", **more}
                for event, user, day, more in (
                    ("view", "u", 1, {"properties": {"source": "news"}}),
                    ("view", "u", 2, {"properties": {"source": "ads"}}),
                    ("view", "u", 3, {}),  # of no source
                    ("buy", "u", 4, {"properties": {"price": 30}}),
                    ("buy", "nobody", 4, {"properties": {"price": 5}}),
                    ("buy", "u", 28, {"properties": {"price": 7.5}}),  # too late for all
                )
            ]
        )
        asked = {
            "touch": {"event": "view"},
            "conversion": {"event": "buy"},
            "by": "source",
            "window_s": 7 * 86_400,
            "value": "price",
        }
        last = await analytics.attribution(asked)
        assert last.columns == ["source", "conversions", "value"]
        assert last.rows == [[None, 2, 12.5], ["ads", 1, 30.0]]
        first = await analytics.attribution({**asked, "model": "first", "limit": 1})
        assert (first.rows, first.more) == ([[None, 2, 12.5]], True)
        linear = await analytics.attribution({**asked, "model": "linear", "value": None})
        assert linear.rows == [[None, 2.0], ["ads", 0.5], ["news", 0.5]]


async def test_what_cannot_be_is_refused_and_changes_nothing(opener: Opener) -> None:
    limits = {"analytics_properties_max": 2, "analytics_rows_max": 5, "batch_events_max": 3}
    async with opener(**limits) as spine:
        analytics = spine.analytics(CONTEXT)
        wrong: Any
        question: Any
        for wrong, error in (
            ([], InvalidAnalyticsEvent),
            ([{}], InvalidAnalyticsEvent),
            ([{"event": "a", "more": 1}], InvalidAnalyticsEvent),
            ([{"event": "a", "time": "2026-11-01T00:00:00"}], InvalidAnalyticsEvent),
            ([{"event": "a", "properties": {"x": [1]}}], InvalidAnalyticsEvent),
            ([{"event": "a", "properties": {"x": {"y": 1}}}], InvalidAnalyticsEvent),
            ([{"event": "a", "properties": {"x": float("nan")}}], InvalidAnalyticsEvent),
            ([{"event": "a", "properties": {"x": 10**400}}], InvalidAnalyticsEvent),
            ([{"event": "a", "properties": {"x": "\ud800"}}], InvalidAnalyticsEvent),
            ([{"event": "a\x00"}], InvalidId),
            ([{"event": "a", "properties": {"": 1}}], InvalidId),
            ([{"event": "a", "user_id": "u" * 256}], InvalidId),
            ([{"event": "a", "properties": {"x": 1, "y": 2, "z": 3}}], TooLarge),
            ([{"event": "a"}] * 4, TooLarge),
            ([{"event": "good"}, {"event": "a", "event_id": ""}], InvalidId),
        ):
            with pytest.raises(error):
                await analytics.ingest(wrong)
        for body in (b"", b"{", b'{"event":"a","properties":{"x":1e999}}', b'{"event":"\xff"}'):
            with pytest.raises((InvalidJson, InvalidAnalyticsEvent)):
                await analytics.ingest_json(body)
        for question in (
            {"sql": "SELECT 1"},
            {"group_by": ["a", "a"]},
            {"order": [{"column": "count; --"}]},
            {"bucket": "year"},
            {"from": "yesterday"},
            {"where": {"a": {}}},
            {"where": {"a": None}},
            {"fields": {"event_id": "x"}},
            {"measures": []},
            {"measures": [{"measure": "sum"}]},
            {"limit": 0},
        ):
            with pytest.raises(InvalidRequest):
                await analytics.query(question)
        with pytest.raises(TooLarge) as large:
            await analytics.query({"limit": 6})
        assert large.value.fields["limit"] == "analytics_rows_max"
        with pytest.raises(InvalidRequest):
            await analytics.funnel({"steps": []})
        with pytest.raises(InvalidRequest):
            await analytics.attribution({"touch": {"event": "a"}, "by": "b"})
        with pytest.raises(InvalidId):
            spine.analytics(CONTEXT, "")
        assert await count(analytics) == 0


HOSTILE = ["'; DROP TABLE lines; --", 'a"b\\', "$.a[*]", "properties"]


async def test_a_name_is_a_name_whatever_is_in_it(opener: Opener) -> None:
    async with opener(analytics_segment_events=4) as spine:
        for name in HOSTILE:
            analytics = spine.analytics(CONTEXT, name)
            event = {"event": name, "user_id": name, "properties": {name: name, "n": 2**64 - 1}}
            await analytics.ingest([event] * 5)
            answer = await analytics.query(
                {
                    "events": [name],
                    "where": {name: {"in": [name], "gte": name, "exists": True}},
                    "fields": {"user_id": name},
                    "group_by": [{"property": name, "as": f"{name} "}, "n"],
                    "measures": [{"measure": "max", "property": name, "as": name}],
                    "order": [{"column": name}],
                }
            )
            assert answer.columns == [f"{name} ", "n", name]
            assert answer.rows == [[name, 2**64 - 1, None]]
            funnel = await analytics.funnel(
                {"steps": [{"event": name, "where": {name: name}}], "breakdown": name}
            )
            assert [row[:4] for row in funnel.rows] == [[name, 1, name, 1]]


async def test_scopes_do_not_see_each_other(opener: Opener) -> None:
    async with opener(analytics_segment_events=2) as spine:
        wall = CONTEXT.model_copy(update={"surface_id": "wall"})
        mine, theirs = spine.analytics(CONTEXT), spine.analytics(wall)
        other = spine.analytics(CONTEXT, "other")
        await mine.ingest(views(*range(5)))
        await theirs.ingest(views(*range(7)))
        await other.ingest(views(1, 2, event="other"))  # the same ids: of another dataset
        assert [await count(one) for one in (mine, theirs, other)] == [5, 7, 2]
        away = RequestContext(tenant_id="t_away", env="dev", mode="lab")
        with pytest.raises(NoRouteConfigured):
            await spine.analytics(away).ingest(views(1))
        with pytest.raises(NoRouteConfigured):
            await spine.analytics(away).query({})


async def test_a_restart_between_any_two_steps(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    for n in range(5):
        async with opener(analytics_segment_events=4) as spine:
            done = await spine.analytics(CONTEXT).ingest(views(2 * n, 2 * n + 1, 2 * n - 2))
            assert (done.stored, done.duplicates) == ((3, 0) if n == 0 else (2, 1))
        async with opener(analytics_segment_events=4) as spine:
            analytics = spine.analytics(CONTEXT)
            assert await count(analytics) == 2 * n + 3
            assert await count(analytics, events=["page_view"], fields={"user_id": "u0"}) > 0
    lines = (tmp_path / FOLDER / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1, 12))
    segments = sorted((tmp_path / FOLDER / "events.parquet").iterdir())
    assert [name.name.split("-")[1:3] for name in segments] == [["1", "4"], ["5", "8"]]


class HeldDisk(Disk):
    """A disk that makes nothing durable while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.let_go.set()

    def write_durably(self, fd: int, data: bytes, offset: int) -> None:
        self.let_go.wait()
        super().write_durably(fd, data, offset)

    def write_sealed(self, fd: int, data: bytes, offset: int, seal_fd: int, seal: bytes) -> int:
        self.let_go.wait()
        return super().write_sealed(fd, data, offset, seal_fd, seal)


async def test_what_is_not_acknowledged_is_not_looked_at(tmp_path: Path) -> None:
    disk, told = HeldDisk(), []
    settings = Settings(lab=LAB, limits=Limits(analytics_segment_events=2))
    async with eventspine.open(tmp_path, lab=True, settings=settings, disk=disk) as spine:
        analytics = spine.analytics(CONTEXT)
        await analytics.ingest(views(0, 1, 2))
        binding = await spine.analytics_room.bindings.of(CONTEXT.scope)
        actor = await binding.host.actor(binding.place("events").key)

        async def ingest() -> None:
            await analytics.ingest(views(3))
            told.append(await count(analytics))

        disk.let_go.clear()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(ingest)
                while actor.sequence < 4:
                    await checkpoint()
                assert await count(analytics) == 3, "it has its number, and is on no disk"
                assert told == []
                disk.let_go.set()
        finally:
            disk.let_go.set()
        assert told == [4], "and a question after the answer sees it"


async def test_ids_of_two_datasets_in_one_folder_stay_apart(opener: Opener, backend: str) -> None:
    """There are enough of them for files of ids, which lie side by side."""
    names, numbers = ("a", "b"), range(1500)
    async with opener() as spine:
        for name in names:
            for start in range(0, 1500, 500):
                wanted = views(*numbers[start : start + 500], event=name)
                assert (await spine.analytics(CONTEXT, name).ingest(wanted)).stored == 500
    async with opener() as spine:
        for name in names:
            again = await spine.analytics(CONTEXT, name).ingest(views(3, 700, 1499, event=name))
            assert again.duplicates == (3 if backend == "filesystem" else 0)


async def test_writers_beside_each_other_and_each_finds_what_it_wrote(opener: Opener) -> None:
    async with opener(analytics_segment_events=5) as spine:
        analytics = spine.analytics(CONTEXT)

        async def write(n: int) -> None:
            await analytics.ingest([{"event": "e", "user_id": f"{n}", "properties": {"n": n}}] * 3)
            assert await count(analytics, where={"n": n}) == 3

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(write, n)
        assert await count(analytics) == 24


async def test_a_question_that_nobody_waits_for_is_stopped(opener: Opener) -> None:
    """It would take years, and its thread is waited for: that this ends says it was stopped."""
    async with opener() as spine:
        room, analytics = spine.analytics_room, spine.analytics(CONTEXT)
        await analytics.ingest(views(1))
        binding = await room.bindings.of(CONTEXT.scope)
        key = binding.place("events").key
        with anyio.move_on_after(0.1) as scope:
            await room.ask(binding.host, key, CONTEXT.mode, Statement(ENDLESS, {}))
        assert scope.cancelled_caught
        assert await count(analytics) == 1


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        (ENDLESS, {"analytics_query_s_max": 0.1}),
        (HUNGRY, {"analytics_query_bytes_max": 16 * 1024 * 1024}),
    ],
    ids=["time", "memory"],
)
async def test_a_question_that_costs_too_much_is_refused(
    opener: Opener, text: str, limits: dict[str, float]
) -> None:
    async with opener(**limits) as spine:
        room = spine.analytics_room
        await spine.analytics(CONTEXT).ingest(views(1))
        binding = await room.bindings.of(CONTEXT.scope)
        key = binding.place("events").key
        with pytest.raises(QueryTooExpensive) as refused:
            await room.ask(binding.host, key, CONTEXT.mode, Statement(text, {}))
        ((name, maximum),) = limits.items()
        assert refused.value.fields == {"limit": name, "maximum": maximum}


async def test_without_duckdb_events_are_taken_and_questions_say_what_to_install(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    async with opener(analytics_segment_events=1) as spine:
        analytics = spine.analytics(CONTEXT)
        assert (await analytics.ingest(views(1))).stored == 1
        while spine.analytics_compaction.busy:  # it cannot do it, and lives on
            await checkpoint()
        with pytest.raises(ExtraMissing, match=r'pip install "eventspine\[analytics\]"'):
            await analytics.query({})
    monkeypatch.undo()


async def test_who_does_not_come_to_a_turn_is_told_to_try_again(opener: Opener) -> None:
    async with opener(analytics_query_s_max=1.0, analytics_queries_max=1) as spine:
        room, analytics = spine.analytics_room, spine.analytics(CONTEXT)
        await analytics.ingest(views(1))
        binding = await room.bindings.of(CONTEXT.scope)
        key = binding.place("events").key
        refused: list[str] = []

        async def ask() -> None:
            try:
                await room.ask(binding.host, key, CONTEXT.mode, Statement(ENDLESS, {}))
            except (QueryTooExpensive, Overloaded) as error:
                refused.append(str(error.fields["limit"]))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(ask)
        assert sorted(refused) == ["analytics_queries_max", "analytics_query_s_max"]
        assert await count(analytics) == 1


async def test_a_tenant_that_asks_without_end_leaves_a_place_to_others() -> None:
    turns, had, end = Turns(2, 1), list[str](), anyio.Event()

    async def busy(n: int) -> None:
        async with turns.turn("busy"):
            had.append(f"busy {n}")
            await end.wait()

    async with anyio.create_task_group() as group:
        for n in range(5):
            group.start_soon(busy, n)
        await anyio.wait_all_tasks_blocked()
        async with turns.turn("calm"):
            had.append("calm")
        assert len(had) == 2, "one of the busy ones"
        assert had[1] == "calm"
        end.set()
    assert sorted(had) == [*(f"busy {n}" for n in range(5)), "calm"]
    async with turns.turn("busy"), turns.turn("calm"):
        assert turns.tenants == 2
    assert turns.tenants == 0, "who asks no more is forgotten"
