"""What is stored is what the Python side stores, but for the id and the time of an event."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventspine.actors.append import Stamp, line_of
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import EventspineError
from eventspine.contracts.event_id import sequence_in
from eventspine.contracts.wire import WallClock, draft_of
from eventspine.services.envelope import place_of, stamp_of
from tests.inner import examples
from tests.native.standing import PLACE, PLAIN, STAMP, Standing

SEQUENCE_MAX = (1 << 40) - 1
_OURS = re.compile(rb'"event_id":"[0-9a-f-]{36}","ts":"[0-9TZ:.-]{24}"')


def without_time(line: bytes) -> bytes:
    return _OURS.sub(b"", line, count=1)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["null", "\ud800", "\0", '"', "\\", "é", "😀", b"bytes"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
TYPES = st.text(st.characters(), max_size=260) | st.sampled_from(["", "t" * 255, "\n", 1, None])
EVENTS = st.fixed_dictionaries(
    {"event_type": TYPES, "payload": st.dictionaries(st.text(max_size=8), VALUES, max_size=4)},
    optional={"event_id": st.just("id"), "ts": st.just("2026-01-01T00:00:00Z")},
) | st.dictionaries(st.sampled_from(["event_type", "payload", "x"]), VALUES, max_size=3)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)


@settings(
    max_examples=examples(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    event=EVENTS,
    stream_id=st.text(min_size=1, max_size=100),
    user=st.none() | NAMES,
    sequence=st.integers(0, 100) | st.integers(SEQUENCE_MAX - 2, SEQUENCE_MAX + 2),
    epoch=st.integers(1, 2**32 - 1),
)
@example(event=PLAIN, stream_id="s", user=None, sequence=0, epoch=1)
@example(event=PLAIN, stream_id="s", user=None, sequence=SEQUENCE_MAX, epoch=1)
def test_a_line_is_the_line_of_the_python_side(
    standing: Standing,
    event: Any,
    stream_id: str,
    user: str | None,
    sequence: int,
    epoch: int,
) -> None:
    try:
        place = place_of(stream_id, "event_stream/", b'{"tenant_id":"t"}')
    except EventspineError:
        place = PLACE
    context = RequestContext(tenant_id="t", env="e", mode="lab", user_id=user)
    actor = standing.actor
    standing.directory._cells[place.key] = standing.directory._cells[PLACE.key]
    actor.sequence = actor.committed = sequence
    actor.epoch = epoch
    before = standing.state()
    commit = standing.submit(event, place, stamp_of(context))
    try:
        line = python_line(event, epoch, sequence, stamp_of(context), place.address)
    except EventspineError:
        line = None
    if commit is None:
        assert standing.state() == before
        assert line is None or is_unusual(event, line, sequence)
    else:
        assert line is not None
        assert without_time(commit.lines[0]) == without_time(line)
        assert (commit.first_sequence, commit.last) == (sequence + 1, sequence + 1)
        assert (commit.size, commit.mode, commit.epoch) == (len(commit.lines[0]), "lab", epoch)
        assert standing.take() == [commit]
        actor.pending = None


def python_line(event: Any, epoch: int, sequence: int, stamp: Stamp, address: bytes) -> bytes:
    now = WallClock().read()
    return line_of(epoch, sequence + 1, draft_of(event), stamp, now, address, 1024 * 1024)


def is_unusual(event: Any, line: bytes, sequence: int) -> bool:
    """What the compiled side leaves alone, though it could be stored."""
    try:
        orjson.dumps(event["payload"])
    except TypeError:
        return True  # integers beyond 64 bits
    return len(event) != 2 or b"null" in line or sequence >= SEQUENCE_MAX


@pytest.mark.parametrize("payload", [{"n": float("nan")}, {"n": float("inf")}, {1: 2}, [], None])
def test_what_is_no_json_is_left_to_the_python_side(standing: Standing, payload: Any) -> None:
    before = standing.state()
    assert standing.submit({"event_type": "t", "payload": payload}) is None
    assert standing.state() == before


def test_an_event_of_just_the_most_bytes_is_taken(core: Any) -> None:
    standing = Standing(event_bytes_max=1000)
    rest = 1000 - len(standing.submit({"event_type": "t", "payload": {"x": ""}}).lines[0])
    fits = standing.submit({"event_type": "t", "payload": {"x": "y" * rest}})
    assert len(fits.lines[0]) == 1000
    before = standing.state()
    assert standing.submit({"event_type": "t", "payload": {"x": "y" * (rest + 1)}}) is None
    assert standing.state() == before
    standing.close()


def test_ids_are_version_7_carry_their_sequence_and_sort_by_time(standing: Standing) -> None:
    ids, last_ms = set(), 0
    standing.actor.sequence = SEQUENCE_MAX - 6000
    for _ in range(5000):
        commit = standing.submit()
        stored = orjson.loads(commit.lines[0])
        made = uuid.UUID(stored["event_id"])
        assert (made.version, made.variant) == (7, uuid.RFC_4122)
        assert sequence_in(stored["event_id"]) == stored["sequence"] == commit.last
        assert stored["event_id"] not in ids
        ids.add(stored["event_id"])
        ms = made.int >> 80
        assert datetime.fromisoformat(stored["ts"]).timestamp() * 1000 == pytest.approx(ms, abs=0.1)
        assert ms >= last_ms
        last_ms = ms
        standing.take()


def test_thousands_of_event_types_are_told_apart(standing: Standing) -> None:
    for n in [*range(9000), 1, 2, 3]:
        commit = standing.submit({"event_type": f"t{n}", "payload": {}}, stamp=STAMP)
        assert b'"event_type":"t%d",' % n in commit.lines[0]
        standing.take()
        standing.actor.pending = None


class Keyed:
    """Equal to the name of a field, and takes the event apart when asked whether it is."""

    def __init__(self, event: dict[Any, Any], name: str) -> None:
        self._event, self._name = event, name

    def __hash__(self) -> int:
        return hash(self._name)

    def __eq__(self, other: object) -> bool:
        self._event.clear()
        return False


def test_an_event_that_changes_while_it_is_read_is_no_crash(standing: Standing) -> None:
    for name in ("payload", "event_type"):
        event: dict[Any, Any] = {}
        event[Keyed(event, name)] = 1
        event["payload" if name == "event_type" else "event_type"] = {"a": "b" * 100}
        before = standing.state()
        with suppress(RuntimeError):  # a dictionary that changed while it was looked into
            assert standing.submit(event) is None
        assert standing.state() == before
