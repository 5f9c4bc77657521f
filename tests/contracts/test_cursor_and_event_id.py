"""Positions and made ids."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.errors import InvalidCursor
from eventspine.contracts.event_id import id_time, new_event_id, sequence_in

NUMBERS = st.integers(1, 10**16 - 1)


@given(NUMBERS, st.integers(0, 10**16 - 1))
def test_a_cursor_is_its_text_again(epoch, sequence) -> None:
    cursor = Cursor(epoch, sequence)
    assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.looks_like(str(cursor))


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_cursors_sort_as_text(one, two) -> None:
    assert (one < two) == (str(Cursor(*one)) < str(Cursor(*two)))


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text) -> None:
    try:
        cursor = Cursor.parse(text)
    except InvalidCursor:
        return
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "1_1",
        "0000000000000000_0000000000000001",
        "0000000000000001_0000000000000001\n",
        "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠١_٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠١",
        "000000000000001_00000000000000001",
        "-000000000000001_0000000000000001",
    ],
)
def test_near_misses_are_refused(text) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.parse(text)


@given(st.integers(0, (1 << 48) - 1), st.integers(1, (1 << 40) - 1))
def test_an_id_is_a_uuid7_that_carries_its_sequence(unix_ms, sequence) -> None:
    text = new_event_id(id_time(unix_ms), sequence).decode()
    made = uuid.UUID(text)
    assert (str(made), made.version, made.variant) == (text, 7, uuid.RFC_4122)
    assert made.int >> 80 == unix_ms
    assert sequence_in(text) == sequence


def test_ids_of_one_millisecond_and_one_sequence_differ() -> None:
    # of different streams, say: the counter alone keeps as many apart, 22 random bits the rest
    assert len({new_event_id(id_time(1), 1) for _ in range(4096)}) == 4096


@given(st.text(max_size=40) | st.text(alphabet="0123456789abcdef-7+_ ", min_size=36, max_size=36))
def test_any_text_is_asked_for_its_sequence_safely(text) -> None:
    sequence = sequence_in(text)
    assert sequence is None or sequence > 0
