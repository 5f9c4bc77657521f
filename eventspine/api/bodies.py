"""Bodies made of stored lines: spliced, never parsed.

A stored line begins {"sequence":…,"cursor":…,"event_id":…,"ts":… (contracts/event.py), so the
short form of an event is its line up to `,"ts":`. Inside a JSON string every quote has a backslash
before it, so those six bytes can stand nowhere earlier.
"""

from __future__ import annotations

from eventspine.contracts.answers import Appended, Page, Selection
from eventspine.contracts.lines import inside

_TS = b',"ts":'


def short_line(line: bytes) -> bytes:
    """Only `sequence`, `cursor` and `event_id`."""
    end = line.find(_TS)
    assert end > 0, "a stored line has its keys in the order of StreamEvent"
    return line[:end] + b"}"


def appended_body(appended: Appended, minimal: bool) -> bytes:
    lines = [short_line(line) for line in appended.lines] if minimal else appended.lines
    return b'{"events":[%b],"head":"%b","duplicates":%d}' % (
        b",".join(lines),
        str(appended.head).encode(),
        appended.duplicates,
    )


def selection_body(found: Selection) -> bytes:
    behind = b'],"next":"%b","head":"%b","earliest":"%b","closed":%b,"read":%d,"complete":%b}' % (
        str(found.next).encode(),
        str(found.head).encode(),
        str(found.earliest).encode(),
        b"true" if found.closed else b"false",
        found.read,
        b"true" if found.is_complete else b"false",
    )
    return inside(b'{"events":[', found.lines, behind)


def page_body(page: Page) -> bytes:
    behind = b'],"next":"%b","head":"%b","earliest":"%b","closed":%b}' % (
        str(page.next).encode(),
        str(page.head).encode(),
        str(page.earliest).encode(),
        b"true" if page.closed else b"false",
    )
    return inside(b'{"events":[', page.lines, behind)
