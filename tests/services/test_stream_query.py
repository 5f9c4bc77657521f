"""Queries of a stream: what a filter takes, and how the pages of it join."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventspine
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import CursorGone, InvalidRequest
from eventspine.contracts.limits import Limits
from eventspine.contracts.settings import LabSettings, Settings
from eventspine.contracts.stream_filter import StreamFilter
from eventspine.services.event_streams import EventStreamService

pytestmark = pytest.mark.anyio
CONTEXT = RequestContext(tenant_id="t_demo", env="dev", mode="lab")
TYPES = ("chat.message", "chat.typing", "chatter", "canvas.commit")


@asynccontextmanager
async def opened(place: Path, **limits: Any) -> AsyncIterator[eventspine.Spine]:
    settings = Settings(lab=LabSettings(), limits=Limits(**limits))
    async with eventspine.open(place, lab=True, settings=settings) as spine:
        yield spine


def event(n: int) -> dict[str, Any]:
    return {
        "event_type": TYPES[n % 4],
        "payload": {"n": n},
        "ts": f"2026-11-24T10:{n:02d}:00Z",
        "metadata": {"run_id": f"r{n % 3}", "retry": n % 2 == 0},
    }


def numbers(found: Any) -> list[int]:
    return [one.payload["n"] for one in found.events]


async def test_all_that_is_stated_must_hold(tmp_path: Path) -> None:
    async with opened(tmp_path) as spine:
        streams = EventStreamService(spine, CONTEXT)
        for n in range(12):
            await streams.append("s", event(n))
        query = streams.query("s")
        assert numbers(await query.find()) == list(range(12))
        assert numbers(await query.of_types("chat.message").find()) == [0, 4, 8]
        assert numbers(await query.of_types("chat.*").find()) == [0, 1, 4, 5, 8, 9]
        assert numbers(await query.of_types("chat.*", "chatter").find()) == [
            n for n in range(12) if n % 4 != 3
        ]
        late = query.since("2026-11-24T12:04:00+02:00").until("2026-11-24T10:07:00Z")
        assert numbers(await late.find()) == [4, 5, 6]
        assert numbers(await query.where(run_id="r1").find()) == [1, 4, 7, 10]
        assert numbers(await query.where(run_id="r1", retry="true").find()) == [4, 10]
        assert numbers(await query.where(nobody="has it").find()) == []
        page = await query.of_types("chat.message").limit(2).find()
        assert (numbers(page), page.is_complete, page.read) == ([0, 4], False, 5)
        rest = await query.of_types("chat.message").after(str(page.next)).find()
        assert (numbers(rest), rest.is_complete, rest.next) == ([8], True, rest.head)


async def test_one_answer_looks_at_so_many_events(tmp_path: Path) -> None:
    async with opened(tmp_path, query_events_read_max=5, page_bytes_max=1024) as spine:
        streams = EventStreamService(spine, CONTEXT)
        await spine.append_batch("s", [event(n) for n in range(12)], CONTEXT)
        found = await streams.query("s").of_types("canvas.commit").find()
        assert (numbers(found), found.read, found.next.sequence) == ([3], 5, 5)
        lines = [line async for line in streams.query("s").of_types("canvas.commit").all()]
        assert len(lines) == 3
        every = [line async for line in streams.query("s").all()]
        assert len(every) == len(set(every)) == 12
        with pytest.raises(CursorGone):
            await streams.query("s").after("not-in-there").find()
        assert (await streams.query("nobody wrote to it").find()).is_complete


@pytest.mark.parametrize("time", ["yesterday", "2026-11-24T10:00:00", ""])
async def test_a_time_needs_a_zone(time: str) -> None:
    with pytest.raises(InvalidRequest, match="with its zone"):
        StreamFilter(since=time)


async def test_too_many_parts_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 64"):
        StreamFilter([f"t{n}" for n in range(65)])


@given(
    st.sets(st.sampled_from([*TYPES, "chat.*", "c.*"])),
    st.sampled_from([None, 3, 7]),
    st.sampled_from([None, 5, 9]),
    st.sampled_from([None, "r0", "r2", "r9"]),
)
def test_a_filter_takes_what_a_plain_look_takes(
    types: set[str], since: int | None, until: int | None, run: str | None
) -> None:
    wanted = StreamFilter(
        types,
        since=None if since is None else event(since)["ts"],
        until=None if until is None else event(until)["ts"],
        metadata={} if run is None else {"run_id": run},
    )

    def plain(n: int) -> bool:
        name = TYPES[n % 4]
        return (
            (
                not types
                or any(name == t or (t[-2:] == ".*" and name.startswith(t[:-1])) for t in types)
            )
            and (since is None or n >= since)
            and (until is None or n < until)
            and (run is None or f"r{n % 3}" == run)
        )

    for n in range(12):
        assert wanted.matches(orjson.dumps(event(n))) == plain(n)
