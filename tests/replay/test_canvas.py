from __future__ import annotations

import gzip
import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.client.replay.canvas import Canvas, PatchOutOfRange, parse_canvas, text_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(TEXT, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), TEXT), max_size=30))
def test_the_window_never_changes_what_a_patch_means(
    start: str, moves: list[tuple[float, float, str]]
) -> None:
    plain, canvas = start * 500, Canvas(start * 500)
    for where, share, inserted in moves:
        position = int(where * len(plain))
        deleted = int(share * min(40, len(plain) - position))
        canvas.apply([[position, deleted, inserted]])
        plain = plain[:position] + inserted + plain[position + deleted :]
    assert canvas.text == plain


@pytest.mark.parametrize("patch", [[4, 0, "x"], [0, 4, ""], [-1, 0, "x"], [2, 2, ""], [1, -1, ""]])
def test_a_patch_outside_the_text_is_told(patch: list[object]) -> None:
    canvas = Canvas("abc")
    with pytest.raises(PatchOutOfRange):
        canvas.apply([patch])
    assert canvas.text == "abc"


def test_positions_are_code_points() -> None:
    canvas = Canvas("a😀é")
    canvas.apply([[2, 1, "z"], [1, 1, ""]])
    assert canvas.text == "az"


def trace(start: str, end: str, *patches: object) -> bytes:
    transactions = [{"time": "2021-01-01T00:00:00Z", "patches": [p]} for p in patches]
    return orjson.dumps({"startContent": start, "endContent": end, "txns": transactions})


def test_a_trace_is_a_start_and_one_event_per_transaction() -> None:
    events, end = parse_canvas(trace("ab", "b!", [0, 1, ""], [1, 0, "!"]))
    assert [event.event_type for event in events] == [
        "canvas.start",
        "canvas.patch",
        "canvas.patch",
    ]
    assert text_of(events) == end == "b!"


def test_an_empty_start_is_no_event() -> None:
    events, _ = parse_canvas(trace("", "x", [0, 0, "x"]))
    assert [orjson.loads(event.payload)["patches"] for event in events] == [[[0, 0, "x"]]]


def test_a_trace_without_times_has_a_pace_all_the_same() -> None:
    events, _ = parse_canvas(trace("", "ab", [0, 0, "a"], [1, 0, "b"]))
    assert events[0].at_s < events[1].at_s


@pytest.mark.parametrize(
    "bad", [b"", b"[]", b'{"txns":[{"patches":[[0,"a",1]]}]}', gzip.compress(b"", mtime=0)]
)
def test_what_is_no_trace_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's texts are its own
        parse_canvas(bad)


def test_a_long_random_edit_is_what_plain_slicing_gives() -> None:
    rng = random.Random(7)
    plain, canvas = "", Canvas()
    for n in range(5000):
        position = rng.randrange(len(plain) + 1) if n % 50 == 0 else min(len(plain), n)
        deleted = min(rng.randrange(3), len(plain) - position)
        inserted = "x" * rng.randrange(4)
        canvas.apply([[position, deleted, inserted]])
        plain = plain[:position] + inserted + plain[position + deleted :]
    assert canvas.text == plain
