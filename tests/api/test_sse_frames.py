from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventspine.api.live import sse
from eventspine.contracts.answers import TailSlice
from eventspine.contracts.cursor import Cursor
from tests.api.whatwg import Event, EventParser

HOSTILE = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\ufeff",
    "\u2028",
    "\u2029",
    "\u0085",
    " lead",
    "data: x",
    "\n\nid: 9",
]
texts = st.text() | st.lists(st.sampled_from(HOSTILE)).map("".join)


def parsed(stream: bytes, cuts: int = 0) -> list[Event]:
    parser = EventParser()
    pieces = [stream[i : i + cuts] for i in range(0, len(stream), cuts)] if cuts else [stream]
    return [event for piece in pieces for event in parser.feed(piece)]


@given(st.lists(texts, min_size=1), st.integers(0, 7))
@example(HOSTILE, 1)
def test_payloads_come_back_equal_and_forge_nothing(payloads: list[str], cuts: int) -> None:
    lines = [orjson.dumps({"text": text}) for text in payloads]
    piece = TailSlice(1, 5, lines)
    stream = sse.opening() + sse.slice_frames(piece) + sse.HEARTBEAT
    found = parsed(stream, cuts)
    assert [json.loads(event.data)["text"] for event in found] == payloads
    assert [event.last_event_id for event in found] == [
        str(Cursor(1, 5 + n)) for n in range(len(payloads))
    ]
    assert {event.name for event in found} == {"message"}


def test_line_ends_between_tokens_cannot_end_an_event() -> None:
    found = parsed(sse.event(b'{"a":\r\n\r\n1,\n\n"b":2}', "x-1"))
    assert [json.loads(event.data) for event in found] == [{"a": 1, "b": 2}]


def test_a_leading_space_of_the_data_stays() -> None:
    assert parsed(sse.event(b' {"a":1}', "x"))[0].data == ' {"a":1}'


def test_frames_are_made_once_for_all_readers() -> None:
    piece = TailSlice(1, 1, [b"{}"])
    assert sse.slice_frames(piece) is sse.slice_frames(piece)


@given(texts)
def test_a_control_event_is_one_event_whatever_it_quotes(text: str) -> None:
    (found,) = parsed(sse.control("gap", {"requested": text}, "1_2", retry=True))
    assert (found.name, found.last_event_id) == ("gap", "1_2")
    assert json.loads(found.data) == {"requested": text}


@pytest.mark.parametrize("bad", ["a\nb", "a b", "", "x" * 129, "é"])
def test_an_id_that_is_no_token_is_a_bug(bad: str) -> None:
    with pytest.raises(AssertionError):
        sse.event(b"{}", bad)


def test_the_opening_says_when_to_come_back_and_is_padded() -> None:
    parser = EventParser()
    assert list(parser.feed(sse.opening())) == []
    assert parser.retry is not None
    assert 1000 <= parser.retry <= 2000
    assert len(sse.opening()) > 2048
    assert parser.comments == 1
