"""Analytics over HTTP: ingest, questions, problems."""

from __future__ import annotations

from typing import Any

import httpx

AT = "/v1/analytics"


def test_events_in_and_answers_out(client: httpx.Client) -> None:
    at = f"{AT}/shop%2F1"
    events = [
        {
            "event": name,
            "event_id": f"{name}/{n}",
            "time": f"2026-11-0{1 + n}T10:00:00+01:00",
            "user_id": f"u{n}",
            "properties": {"source": source, "price": 1.5 * n},
        }
        for n, (name, source) in enumerate([("view", "ads"), ("view", "news"), ("buy", "news")])
    ]
    done = client.post(f"{at}/events", json=events)
    assert done.status_code == 201
    assert done.json() == {
        "stored": 3,
        "duplicates": 0,
        "head": "0000000000000001_0000000000000003",
    }
    again = client.post(f"{at}/events", json=events[0])
    assert (again.status_code, again.json()["duplicates"]) == (200, 1)
    lines = {"content-type": "application/x-ndjson", "idempotency-key": "k"}
    for stored, status in ((2, 201), (0, 200)):
        body = b'{"event":"a"}\n{"event":"b"}\n'
        ndjson = client.post(f"{at}/events", content=body, headers=lines)
        assert (ndjson.status_code, ndjson.json()["stored"]) == (status, stored)
    asked = {
        "fields": {"event": {"in": ["view", "buy"]}},
        "bucket": "day",
        "group_by": ["source"],
        "measures": [{"measure": "count"}, {"measure": "max", "property": "price", "as": "most"}],
    }
    answer = client.post(f"{at}/query", json=asked)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "columns": ["time", "source", "count", "most"],
        "rows": [
            ["2026-11-01T00:00:00Z", "ads", 1, 0.0],
            ["2026-11-02T00:00:00Z", "news", 1, 1.5],
            ["2026-11-03T00:00:00Z", "news", 1, 3.0],
        ],
        "more": False,
        "head": "0000000000000001_0000000000000005",
    }
    funnel = client.post(f"{at}/funnel", json={"steps": [{"event": "view"}, {"event": "buy"}]})
    assert [row[2] for row in funnel.json()["rows"]] == [2, 0]
    owed = {"touch": {"event": "view"}, "conversion": {"event": "buy"}, "by": "source"}
    assert client.post(f"{at}/attribution", json=owed).json()["rows"] == [[None, 1]]
    back = {"begin": {"event": "view"}, "back": {"event": "buy"}, "period": "week", "periods": 1}
    weeks = client.post(f"{at}/retention", json=back).json()
    assert weeks["columns"] == ["week", "users", "+0", "+1"]
    assert [row[1:] for row in weeks["rows"]] == [[1, 0, 0], [1, 0, 0]]


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    at = f"{AT}/wrong"

    body: Any

    def refused(what: str, status: int, code: str, **sent: Any) -> dict[str, Any]:
        answer = client.post(f"{at}/{what}", **sent)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        found: dict[str, Any] = answer.json()
        return found

    for body in ([], {}, {"event": "a", "x": 1}, {"event": "a", "properties": {"x": []}}):
        refused("events", 422, "invalid_analytics_event", json=body)
    refused("events", 422, "invalid_id", json={"event": "a\n"})
    refused("events", 400, "invalid_json", content=b"{")
    many = {"event": "a", "properties": {f"{n}": n for n in range(101)}}
    assert refused("events", 413, "too_large", json=many)["limit"] == "analytics_properties_max"
    refused("events", 415, "unsupported_media_type", content=b"x", headers={"content-type": "a/b"})
    client.post(f"{at}/events", json={"event": "a", "event_id": "1"})
    refused("events", 409, "event_conflict", json={"event": "b", "event_id": "1"})
    own = {"group_by": ["event"]}
    assert refused("query", 400, "invalid_request", json=own)["parameter"] == "group_by.0"
    deep = b'{"where":' * 5000
    for what in ("query", "funnel", "retention", "attribution"):
        refused(what, 400, "invalid_json", content=b"{")
        refused(what, 400, "invalid_json", content=deep)
        refused(what, 400, "invalid_request", json={"sql": "DROP TABLE lines"})
        refused(what, 400, "invalid_request", json=[1])
        lines = {"content-type": "application/x-ndjson"}
        refused(what, 415, "unsupported_media_type", content=b"{}", headers=lines)
    found = refused("query", 400, "invalid_request", json={"where": {"a": {"like": "x"}}})
    assert found["parameter"] == "where.a.like"
    found = refused("query", 400, "invalid_request", json={"where": {"a": [1]}})
    assert found["detail"] == "where.a: must be a string, a number or a boolean"
    found = refused("query", 413, "too_large", json={"limit": 10_001})
    assert found["limit"] == "analytics_rows_max"
    assert client.post(f"{at}/query?x=1", json={}).json()["code"] == "invalid_request"
    away = client.post(f"{at}/query", json={}, headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")
    assert client.post(f"{at}/query", json={}).json()["rows"] == [[1]]
