"""The SSE parser against the standard, read the slow way: decode, split, interpret line by line."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from eventspine.client.sse_parser import SseEvent, SseParser

FRAGMENTS = st.sampled_from(
    [
        b"data", b"id", b"event", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r",
        b"\r\n\r\n", b"x", b"7", b"\0", b"\xef\xbb\xbf", "\u2028".encode(), "é".encode(), b"\xff",
        b"data: a\n", b"id: 3\n", b"event: gap\r\n", b"retry: 15\n", "٣".encode(), b"\xe2\x80",
    ]
)  # fmt: skip
STREAMS = st.lists(FRAGMENTS, max_size=40).map(b"".join)


def reference(stream: bytes) -> tuple[list[SseEvent], str, int | None]:
    """Section 9.2.6, on the whole stream at once."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\n|\r", text)[:-1]  # what follows the last line end is no line yet
    events: list[SseEvent] = []
    data: list[str] = []
    event, last_id, id_buffer = "", "", ""
    retry = None
    for line in lines:
        if line == "":
            last_id = id_buffer
            if data:
                events.append(SseEvent(event or "message", "\n".join(data), last_id))
            data, event = [], ""
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id" and "\0" not in value:
            id_buffer = value
        elif name == "retry" and re.fullmatch("[0-9]+", value, re.ASCII):
            retry = int(value)
    return events, last_id, retry


@given(STREAMS, st.lists(st.integers(0, 200), max_size=20))
def test_wherever_the_bytes_are_cut_the_events_are_those_of_the_standard(
    stream: bytes, cuts: list[int]
) -> None:
    parser = SseParser()
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    events = [
        event
        for start, end in itertools.pairwise(edges)
        for event in parser.feed(stream[start:end])
    ]
    assert (events, parser.last_event_id, parser.retry_ms) == reference(stream)


@given(STREAMS)
def test_byte_by_byte_is_the_same_as_at_once(stream: bytes) -> None:
    slow, fast = SseParser(), SseParser()
    one_by_one = [event for byte in stream for event in slow.feed(bytes([byte]))]
    assert one_by_one == fast.feed(stream)


def test_a_half_sent_event_is_dropped_and_its_id_with_it() -> None:
    parser = SseParser("7")
    assert parser.feed(b"id: 8\ndata: half\n") == []
    assert parser.last_event_id == "7"


def test_an_id_is_carried_over_to_later_events_and_the_next_connection() -> None:
    first = SseParser()
    first.feed(b"id: 8\ndata: a\n\n")
    second = SseParser(first.last_event_id)
    assert second.feed(b"data: b\n\n") == [SseEvent("message", "b", "8")]


def test_heartbeats_are_counted_and_bring_nothing() -> None:
    parser = SseParser()
    assert parser.feed(b":   \n\n:\n\n") == []
    assert parser.comments == 2
