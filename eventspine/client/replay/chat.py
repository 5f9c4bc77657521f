r"""A day of an IRC channel as events. Pure: text in, events out.

Format, one event a line, split at LF only (a nick may hold U+2028):

    [09:14] <crimsun> kleedrac: I'm afraid not.     chat.message  nick, text, at
    * kleedrac shrugs                               chat.action   nick, text (with or without time)
    === sid77 is now known as sid77_                chat.nick     nick, text = the new nick
    === L0sT [~waa3@x]  has joined #ubuntu          chat.system   text

Whatever else stands there is kept whole as chat.system. `line` counts from 1. Only some lines
carry a time, and it counts minutes: the pace spreads the lines of a minute over that minute.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from eventspine.client.replay.recording import RecordedEvent

_MESSAGE = re.compile(r"\[(\d\d:\d\d)\] <([^>]*)>(?: (.*))?", re.DOTALL)
_ACTION = re.compile(r"(?:\[(\d\d:\d\d)\] +)?\* ?(\S+)(?: (.*))?", re.DOTALL)
_NICK = re.compile(r"=== (\S+) is now known as (\S+)\s*")
_DAY_S = 86_400.0


def parse_chat(text: str) -> list[RecordedEvent]:
    """The events of one channel-day."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    parsed = [parse_line(line.removesuffix("\r"), n) for n, line in enumerate(lines, 1)]
    times = _seconds([payload.get("at") for _, payload in parsed])
    return [
        RecordedEvent(event_type, orjson.dumps(payload), at_s)
        for (event_type, payload), at_s in zip(parsed, times, strict=True)
    ]


def parse_line(line: str, number: int) -> tuple[str, dict[str, Any]]:
    """Type and payload of one line."""
    if match := _MESSAGE.fullmatch(line):
        return "chat.message", _payload(number, match[2], match[3] or "", match[1])
    if match := _ACTION.fullmatch(line):
        return "chat.action", _payload(number, match[2], match[3] or "", match[1])
    if match := _NICK.fullmatch(line):
        return "chat.nick", _payload(number, match[1], match[2], None)
    return "chat.system", _payload(number, None, line.removeprefix("=== "), None)


def _payload(number: int, nick: str | None, text: str, at: str | None) -> dict[str, Any]:
    return {"nick": nick, "text": text, "at": at, "line": number}


def _seconds(stamps: list[str | None]) -> list[float]:
    """Seconds from the first line on, for `HH:MM` or nothing per line.

    A line without a time belongs to the minute before it. A clock that goes back by more than
    half a day has passed midnight; by less, it was set back and time stands still.
    """
    minutes: list[float] = []
    now, day = 0.0, 0.0
    first: float | None = None
    for stamp in stamps:
        if stamp is not None:
            clock = int(stamp[:2]) * 3600.0 + int(stamp[3:]) * 60.0
            first = clock if first is None else first
            if clock + day - first < now - _DAY_S / 2:
                day += _DAY_S
            now = max(now, clock + day - first)
        minutes.append(now)
    return _spread(minutes)


def _spread(minutes: list[float]) -> list[float]:
    out: list[float] = []
    start = 0
    while start < len(minutes):
        end = start
        while end < len(minutes) and minutes[end] == minutes[start]:
            end += 1
        out += [minutes[start] + 60.0 * n / (end - start) for n in range(end - start)]
        start = end
    return out
