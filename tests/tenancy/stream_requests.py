"""Random requests about streams: appends, pages, live readers, queries, ends."""

from __future__ import annotations

from typing import Any

from tests.tenancy.drawing import NAMES, Draw, Generator, Request, as_json, escaped, json_with


def _events(draw: Draw) -> Any:
    made = [
        {
            "event_type": "t",
            "payload": draw.value(),
            **({"event_id": f"e{draw.rng.randrange(8)}"} if draw.rng.random() < 0.4 else {}),
        }
        for _ in range(draw.of(1, 1, 2, 3))
    ]
    return made[0] if len(made) == 1 and draw.rng.random() < 0.5 else made


def _append(draw: Draw, name: str, path: str) -> Request:
    headers = draw.of(
        *({}, {}, {}, {"if-match": '"0"'}, {"if-match": f'"{draw.cursor()}"'}),
        {"idempotency-key": f"k{draw.rng.randrange(4)}"},
        {"prefer": "return=minimal"},
    )
    return Request(name, "POST", path, **json_with(_events(draw), headers))


def _page(draw: Draw, name: str, method: str, path: str) -> Request:
    params = draw.some(limit=draw.of(1, 3, 100), after=draw.of(draw.cursor(), "e1", "latest"))
    return Request(name, method, path, params)


def _tail(draw: Draw, name: str, path: str, **params: str) -> Request:
    return Request(name, "GET", path, params, events=3)


def _stream(draw: Draw, rest: str) -> str:
    return f"/v1/streams/{escaped(draw.name())}{rest}"


STREAMS: dict[str, Generator] = {
    "append": lambda d: _append(d, "append", _stream(d, "/events")),
    "list": lambda d: _page(d, "list", "GET", _stream(d, "/events")),
    "head": lambda d: _page(d, "head", "HEAD", _stream(d, "/events")),
    "delete": lambda d: Request("delete", "DELETE", _stream(d, "/events")),
    "deleteStream": lambda d: Request("deleteStream", "DELETE", _stream(d, "")),
    "close": lambda d: Request("close", "POST", _stream(d, "/close")),
    "tail": lambda d: _tail(d, "tail", _stream(d, "/sse")),
    "tailMany": lambda d: _tail(
        d, "tailMany", "/v1/sse", streams=",".join(escaped(one) for one in d.rng.sample(NAMES, 2))
    ),
    "timelineAppend": lambda d: _append(
        d, "timelineAppend", f"/timeline/{escaped(d.name())}/append"
    ),
    "timelineList": lambda d: _page(
        d, "timelineList", "GET", f"/timeline/{escaped(d.name())}/events"
    ),
    "query": lambda d: Request(
        "query",
        "GET",
        _stream(d, "/query"),
        d.some(event_types="t", after=d.cursor(), limit=d.of(1, 50)),
    ),
    "emitAuditRecord": lambda d: Request(
        "emitAuditRecord",
        "POST",
        "/v1/audit",
        **as_json({"action": d.of("look", "LOOK"), "metadata": d.value()}),
    ),
}
