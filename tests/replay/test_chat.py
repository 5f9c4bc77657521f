from __future__ import annotations

import itertools

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.client.replay.chat import parse_chat, parse_line


@pytest.mark.parametrize(
    ("line", "event_type", "nick", "text", "at"),
    [
        ("[09:14] <will> best player: VLC", "chat.message", "will", "best player: VLC", "09:14"),
        ("[09:15] <|QuaD-> a <b> c", "chat.message", "|QuaD-", "a <b> c", "09:15"),
        ("[09:43] <drcode>", "chat.message", "drcode", "", "09:43"),
        ("[09:43] <drcode>  two", "chat.message", "drcode", " two", "09:43"),
        ("* bob shrugs", "chat.action", "bob", "shrugs", None),
        ("[10:00] * bob shrugs", "chat.action", "bob", "shrugs", "10:00"),
        ("=== a is now known as a_", "chat.nick", "a", "a_", None),
        ("=== L0sT [~w@x]  has joined #u", "chat.system", None, "L0sT [~w@x]  has joined #u", None),
        ("", "chat.system", None, "", None),
        ("free words", "chat.system", None, "free words", None),
    ],
)
def test_a_line_becomes_one_event(
    line: str, event_type: str, nick: str | None, text: str, at: str | None
) -> None:
    payload = {"nick": nick, "text": text, "at": at, "line": 3}
    assert parse_line(line, 3) == (event_type, payload)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_line_is_exactly_one_event_whatever_it_holds(text: str) -> None:
    lines = text.removeprefix("\ufeff").split("\n")
    events = parse_chat(text)
    assert len(events) == len(lines) - (lines[-1] == "")
    assert [orjson.loads(e.payload)["line"] for e in events] == list(range(1, len(events) + 1))
    assert all(a.at_s <= b.at_s for a, b in itertools.pairwise(events))


def test_the_pace_spreads_a_minute_and_passes_midnight() -> None:
    events = parse_chat("[23:59] <a> 1\n[23:59] <a> 2\n=== x\n[00:01] <a> 3\n[00:00] <a> 4\n")
    assert [event.at_s for event in events] == pytest.approx([0, 20, 40, 120, 150])
