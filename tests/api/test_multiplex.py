from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.api.live.multiplex import list_hash, packed, stream_list, unpacked
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import EventspineError, InvalidCursor, InvalidRequest, TooLarge

names = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20),
    min_size=1,
    max_size=16,
    unique=True,
).map(sorted)


@given(names, st.data())
def test_positions_come_back_as_they_were(streams: list[str], data: st.DataObject) -> None:
    cursor = st.builds(Cursor, st.integers(1, 3), st.integers(0, 10**6))
    positions = {name: data.draw(cursor) for name in streams}
    text = packed(streams, positions)
    assert len(text) <= 128
    assert re.fullmatch(r"[0-9A-Za-z_.-]+", text)
    assert unpacked(text, streams) == positions


def test_sixteen_streams_of_fifty_billion_events_fit() -> None:
    streams = [f"s{n:02}" for n in range(16)]
    text = packed(streams, dict.fromkeys(streams, Cursor(1, 50_000_000_000)))
    assert len(text) <= 128


def test_positions_that_do_not_fit_are_refused_not_cut() -> None:
    streams = [f"s{n:02}" for n in range(16)]
    with pytest.raises(TooLarge):
        packed(streams, dict.fromkeys(streams, Cursor(10**9, 10**15)))


def test_an_id_of_another_list_is_refused() -> None:
    text = packed(["a", "b"], {"a": Cursor(1, 1), "b": Cursor(1, 2)})
    with pytest.raises(InvalidCursor):
        unpacked(text, ["a", "c"])
    assert list_hash(["ab", "c"]) != list_hash(["a", "bc"])


@given(st.text(max_size=140))
def test_an_id_nobody_made_is_refused_or_has_positions(text: str) -> None:
    for candidate in (text, f"{list_hash(['a'])}-{text}"):
        try:
            (cursor,) = unpacked(candidate, ["a"]).values()
        except InvalidCursor:
            continue
        assert Cursor.parse(str(cursor)) == cursor


def test_the_list_is_sorted_and_ids_may_hold_commas() -> None:
    assert stream_list("b,a", 16) == ["a", "b"]
    assert stream_list("a%2Cb,c%25", 16) == ["a,b", "c%"]


@pytest.mark.parametrize(
    ("text", "error"),
    [("a,a", InvalidRequest), ("a%zz", InvalidRequest), ("%ff", InvalidRequest)],
)
def test_a_list_that_is_none_is_refused(text: str, error: type[EventspineError]) -> None:
    with pytest.raises(error):
        stream_list(text, 16)


def test_a_list_that_is_too_long_is_refused() -> None:
    with pytest.raises(TooLarge):
        stream_list("a,b,c", 2)
