from __future__ import annotations

import orjson
import pytest

from eventspine.client.delivery import Delivery, End, Gap, TailEvent
from eventspine.client.errors import BadAnswer, StreamHole
from eventspine.client.sse_parser import SseEvent
from eventspine.contracts.cursor import Cursor


def stored(sequence: int, epoch: int = 1) -> SseEvent:
    cursor = Cursor(epoch, sequence)
    line = orjson.dumps({"sequence": sequence, "cursor": str(cursor)}).decode()
    return SseEvent("message", line, str(cursor))


def control(name: str, **fields: object) -> SseEvent:
    return SseEvent(name, orjson.dumps(fields).decode(), "")


def test_each_event_is_given_out_once_and_in_order() -> None:
    delivery = Delivery("s", from_start=True)
    taken = [delivery.take(stored(n)) for n in (1, 2, 2, 1, 3)]
    assert [item.cursor.sequence for item in taken if isinstance(item, TailEvent)] == [1, 2, 3]
    assert delivery.dropped == 2


@pytest.mark.parametrize("sequence", [3, 4, 100])
def test_a_hole_raises_instead_of_going_on(sequence: int) -> None:
    delivery = Delivery("s", Cursor(1, 1))
    with pytest.raises(StreamHole, match="expected 0000000000000001_0000000000000002"):
        delivery.take(stored(sequence))
    assert delivery.last == Cursor(1, 1)


def test_from_the_start_means_from_event_one() -> None:
    with pytest.raises(StreamHole):
        Delivery("s", from_start=True).take(stored(2))


def test_another_epoch_without_a_gap_is_a_hole() -> None:
    delivery = Delivery("s", Cursor(1, 5))
    with pytest.raises(StreamHole):
        delivery.take(stored(1, epoch=2))


def test_after_a_gap_delivery_goes_on_where_the_server_says() -> None:
    delivery = Delivery("s", Cursor(1, 5))
    start = str(Cursor(2, 0))
    gap = delivery.take(control("gap", requested="x", earliest=start, latest=start, next=start))
    assert isinstance(gap, Gap)
    assert gap.earliest == Cursor(2, 0)
    assert isinstance(delivery.take(stored(1, epoch=2)), TailEvent)


def test_an_end_says_whether_it_is_final() -> None:
    delivery = Delivery("s")
    ends = [
        delivery.take(control("end", reason="closed", retry=False)),
        delivery.take(control("end", reason="draining", retry=True)),
        delivery.take(control("end", reason="store_corrupt", retry=False)),
    ]
    assert [end.is_final for end in ends if isinstance(end, End)] == [True, False, True]


@pytest.mark.parametrize("data", ["", "{}", "[]", '{"cursor":"x"}'])
def test_what_is_no_stored_event_is_refused(data: str) -> None:
    with pytest.raises(BadAnswer):
        Delivery("s").take(SseEvent("message", data, ""))


def test_events_of_other_names_are_for_somebody_else() -> None:
    assert Delivery("s").take(SseEvent("presence", "?", "")) is None
