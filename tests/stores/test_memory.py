"""Session memory behind a spine: both backends, both loops, over restarts, on a clock by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from eventspine import RequestContext, Spine
from eventspine.contracts.errors import (
    EntryNotFound,
    EventspineError,
    InvalidId,
    InvalidRequest,
    MemoryFull,
    NotAnInteger,
    PreconditionFailed,
    StoreUnavailable,
    TooLarge,
)
from eventspine.contracts.route import ResourceKind, RouteKey
from tests.stores.conftest import CONTEXT, Opener

pytestmark = pytest.mark.anyio
NEVER = 3600.0  # no sweep but those that a test asks for


def at(spine: Spine, second: float) -> None:
    """What the stores of this spine take for the time of day."""
    ms = round(second * 1000)
    minutes, rest = divmod(ms, 60_000)
    text = (
        f"2026-01-01T{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}Z"
    )
    spine._journals.now = lambda: text  # type: ignore[method-assign]


async def told(spine: Spine, namespace: str = "session", surface: str = "_") -> list[Any]:
    context = CONTEXT.model_copy(update={"surface_id": surface})
    page = await spine.list_after(f"memory_{namespace}", None, context)
    assert {event.event_type for event in page.events} <= {"memory.expired"}
    return [event.payload for event in page.events]


async def test_set_get_and_what_is_left(opener: Opener) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        assert await memory.get("u1") is None
        entry = await memory.set("u1", {"cart": []}, ttl_s=60)
        assert (entry.version, entry.value) == (1, {"cart": []})
        assert entry.expires_at == "2026-01-01T00:01:00.000Z"
        await memory.set("u2", None)
        assert await memory.ttl("u2") is None
        at(spine, 20.5)
        assert await memory.ttl("u1") == 39.5
        assert await memory.get("u1") == {"cart": []}
        assert await memory.ttl("u1") == 39.5, "reading does not move a fixed expiry"
        touched = await memory.touch("u1", 60)
        assert (touched.version, await memory.ttl("u1")) == (1, 60)
        at(spine, 80.499)
        assert await memory.get("u1") == {"cart": []}
        at(spine, 80.5)
        assert await memory.get("u1") is None
        assert [one.key for one in (await memory.scan()).entries] == ["u2"]
        with pytest.raises(EntryNotFound):
            await memory.ttl("u1")
        with pytest.raises(EntryNotFound):
            await memory.touch("u1", 1)
        assert not await memory.delete("u1")
        assert await memory.delete("u2")
        assert await memory.get("u2") is None


async def test_a_sliding_entry_lives_as_long_as_it_is_read(opener: Opener) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        version = (await memory.set("s", 1, ttl_s=10, sliding=True)).version
        for second in range(9, 90, 9):
            at(spine, second)
            entry = await memory.get_entry("s")
            assert entry is not None
            assert entry.version == version
            assert await memory.ttl("s") == 10
        at(spine, 90)
        await memory.scan()
        assert await memory.ttl("s") == 1, "neither a scan nor a question moves it"
        at(spine, 91)
        assert await memory.get("s") is None


async def test_compare_and_set(opener: Opener) -> None:
    async with opener() as spine:
        memory = spine.memory(CONTEXT)
        first = await memory.set("k", 1, if_version=0)
        second = await memory.set("k", 2, if_version=first.version)
        with pytest.raises(PreconditionFailed) as refused:
            await memory.set("k", 3, if_version=first.version)
        assert refused.value.current == str(second.version)
        with pytest.raises(PreconditionFailed):
            await memory.delete("k", if_version=first.version)
        assert await memory.delete("k", if_version=second.version)
        assert (await memory.set("k", 4, if_version=0)).version > second.version


async def test_sixty_four_tasks_count_exactly(opener: Opener) -> None:
    async with opener() as spine:
        memory = spine.memory(CONTEXT)
        await memory.set("n", 2**53)
        seen: list[int] = []

        async def count() -> None:
            seen.extend([await memory.incr("n") for _ in range(5)])

        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(count)
        assert sorted(seen) == [2**53 + n for n in range(1, 321)]
        assert await memory.incr("n", -(2**53)) == 320


async def test_counters_are_integers_of_64_bits(opener: Opener) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        assert await memory.incr("n", 2**63 - 1, ttl_s=10) == 2**63 - 1
        with pytest.raises(NotAnInteger):
            await memory.incr("n")
        assert await memory.get("n") == 2**63 - 1
        for value in (1.5, "1", None, [1], True):
            await memory.set("v", value)
            with pytest.raises(NotAnInteger):
                await memory.incr("v")
        with pytest.raises(InvalidRequest):
            await memory.incr("n", 1.5)  # type: ignore[arg-type]
        at(spine, 5)
        await memory.incr("n", -1, ttl_s=100)
        assert await memory.ttl("n") == 5, "one that is there keeps its end"
        at(spine, 10)
        assert await memory.incr("n") == 1


async def test_scopes_and_namespaces_do_not_see_each_other(opener: Opener) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        at(spine, 0)
        other = CONTEXT.model_copy(update={"surface_id": "squared2"})
        await spine.memory(CONTEXT).set("k", "mine", ttl_s=1)
        await spine.memory(CONTEXT, "cache").set("k", "cached", ttl_s=1)
        await spine.memory(other).set("k", "theirs", ttl_s=5)
        assert await spine.memory(CONTEXT).get("k") == "mine"
        assert await spine.memory(CONTEXT, "cache").get("k") == "cached"
        assert await spine.memory(other).get("k") == "theirs"
        at(spine, 2)
        assert [one.key for one in await spine.memory(CONTEXT).sweep()] == ["k"]
        assert await spine.memory(other).sweep() == []
        assert len(await told(spine)) == 1
        assert await told(spine, surface="squared2") == await told(spine, "cache") == []
        away = RequestContext(tenant_id="t_away", env="dev", mode="lab")
        with pytest.raises(RuntimeError, match="No route configured for memory_store"):
            await spine.memory(away).get("k")


async def test_what_expires_is_told_once_and_in_order(opener: Opener) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        for n in (3, 1, 2, 9):
            await memory.set(f"k{n}", n, ttl_s=n)
        await memory.set("over", 1, ttl_s=4)
        await memory.set("deleted", 1, ttl_s=4)
        await memory.delete("deleted")
        at(spine, 5)
        await memory.set("over", 2)
        swept: list[Any] = []

        async def sweep() -> None:
            swept.extend(await memory.sweep())

        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(sweep)
        assert [one.key for one in swept] == ["k1", "k2", "k3"], "`over` was a write's to record"
        events = await told(spine)
        assert [event["key"] for event in events] == ["over", "k1", "k2", "k3"]
        assert events[1] == {
            "namespace": "session",
            "key": "k1",
            "version": 2,
            "expires_at": "2026-01-01T00:00:01.000Z",
        }
        assert await memory.sweep() == []
        assert len(await told(spine)) == 4


async def test_the_supervised_sweep_tells_by_itself(opener: Opener) -> None:
    async with opener(memory_sweep_s=0.01) as spine:
        at(spine, 0)
        await spine.memory(CONTEXT).set("k", 1, ttl_s=1)
        await spine.memory(CONTEXT).set("later", 1, ttl_s=100)
        assert "memory sweep" in [child.name for child in spine.tree().children]
        at(spine, 1)
        first = await spine.list_after("memory_session", None, CONTEXT, wait_s=30)
        assert [event.payload["key"] for event in first.events] == ["k"]
        at(spine, 100)
        after = str(first.next)
        second = await spine.list_after("memory_session", after, CONTEXT, wait_s=30)
        assert [event.payload["key"] for event in second.events] == ["later"]


async def test_an_announcement_that_failed_is_made_later_and_once(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        await memory.set("k", 1, ttl_s=1)
        at(spine, 1)
        append = spine.memory_expiry._append

        async def appended_and_lost(*args: Any) -> None:
            await append(*args)
            raise StoreUnavailable("cut off behind the append")

        monkeypatch.setattr(spine.memory_expiry, "_append", appended_and_lost)
        with pytest.raises(StoreUnavailable):
            await memory.sweep()
        monkeypatch.setattr(spine.memory_expiry, "_append", append)
        assert await memory.sweep() == [], "what expired is written down already"
        assert [event["key"] for event in await told(spine)] == ["k"]


async def test_without_a_route_for_streams_nobody_is_told(opener: Opener) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        await spine.routes.delete(
            RouteKey(ResourceKind.EVENT_STREAM, "t_demo", "dev", "default", "lab")
        )
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        await memory.set("k", 1, ttl_s=1)
        at(spine, 1)
        assert [one.key for one in await memory.sweep()] == ["k"]
        assert await memory.sweep() == []


async def test_limits_of_a_namespace(opener: Opener) -> None:
    async with opener(memory_entries_max=3, memory_bytes_max=1024, memory_sweep_s=NEVER) as spine:
        memory = spine.memory(CONTEXT)
        at(spine, 0)
        for n in range(3):
            await memory.set(f"k{n}", n, ttl_s=10)
        with pytest.raises(MemoryFull) as refused:
            await memory.set("more", 1)
        assert (refused.value.limit, refused.value.maximum) == ("memory_entries_max", 3)
        with pytest.raises(MemoryFull):
            await memory.incr("more")
        await memory.set("k0", "x" * 900)
        with pytest.raises(MemoryFull) as refused:
            await memory.set("k1", "x" * 200)
        assert refused.value.limit == "memory_bytes_max"
        with pytest.raises(TooLarge):
            await memory.set("k1", "x" * 1024)
        await spine.memory(CONTEXT, "other").set("k1", "x" * 1000)
        at(spine, 10)
        await memory.set("more", 1)
        assert [one.key for one in (await memory.scan()).entries] == ["k0", "more"]


async def test_what_cannot_be_is_refused(opener: Opener) -> None:
    async with opener() as spine:
        memory = spine.memory(CONTEXT)
        for key in ("", "a\n", "x" * 256):
            with pytest.raises(InvalidId):
                await memory.set(key, 1)
        for ttl_s in (0, -1, float("nan"), float("inf"), 0.0001):
            with pytest.raises(InvalidRequest):
                await memory.set("k", 1, ttl_s)
        for namespace in ("", "a\0", "x" * 249):
            with pytest.raises(InvalidId):
                spine.memory(CONTEXT, namespace)
        for refused in (
            memory.set("k", 1, sliding=True),
            memory.set("k", 1, if_version=-1),
            memory.set("k", object()),
            memory.scan(limit=0),
        ):
            with pytest.raises(EventspineError):
                await refused
        assert (await memory.scan()).entries == []


async def test_a_restart_between_any_two_steps(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    if backend == "memory":
        pytest.skip("memory does not survive, and says so")
    steps: list[tuple[float, str, tuple[Any, ...], dict[str, Any]]] = [
        (0, "set", ("a", {"x": 1}), {"ttl_s": 10, "sliding": True}),
        (1, "incr", ("n", 5), {"ttl_s": 3}),
        (2, "set", ("b", 1), {}),
        (8, "get", ("a",), {}),
        (9, "set", ("n", "new"), {}),
        (10, "delete", ("b",), {}),
        (11, "touch", ("n", 100), {}),
        (17, "get", ("a",), {}),
        (27, "sweep", (), {}),
        (28, "sweep", (), {}),
    ]
    answers = []
    for second, verb, arguments, more in steps:
        async with opener(memory_sweep_s=NEVER) as spine:
            at(spine, second)
            answers.append(await getattr(spine.memory(CONTEXT), verb)(*arguments, **more))
    assert [one.key for one in answers[-2]] == ["a"]
    assert answers[-1] == []
    async with opener(memory_sweep_s=NEVER) as spine:
        at(spine, 30)
        page = await spine.memory(CONTEXT).scan()
        assert [(one.key, one.value, one.version) for one in page.entries] == [("n", "new", 4)]
        assert await spine.memory(CONTEXT).ttl("n") == 81
        assert [(event["key"], event["version"]) for event in await told(spine)] == [
            ("n", 2),
            ("a", 1),
        ]
        assert (await spine.memory(CONTEXT).set("z", 1)).version == 5
    assert (tmp_path / "memory_store/t_demo/dev/_/session.jsonl").is_file()


async def test_a_namespace_of_superseded_records_is_written_anew(
    opener: Opener, backend: str, tmp_path: Path
) -> None:
    async with opener(memory_sweep_s=NEVER) as spine:
        at(spine, 0)
        memory = spine.memory(CONTEXT)
        await memory.set("gone", 1, ttl_s=1)
        at(spine, 1)
        await memory.set("gone", 1)

        async def write(worker: int) -> None:
            for _ in range(75):
                await memory.incr(f"{worker}")

        async with anyio.create_task_group() as group:
            for worker in range(30):
                group.start_soon(write, worker)
        assert await memory.sweep() == []
        assert [event["key"] for event in await told(spine)] == ["gone"], "owed over a compaction"
    if backend == "filesystem":
        lines = (tmp_path / "memory_store/t_demo/dev/_/session.jsonl").read_text().splitlines()
        assert len(lines) < 1200
        async with opener(memory_sweep_s=NEVER) as spine:
            at(spine, 2)
            page = await spine.memory(CONTEXT).scan()
            assert [one.value for one in page.entries] == [*[75] * 30, 1]
            assert max(one.version for one in page.entries) == 2252
