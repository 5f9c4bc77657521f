"""Append, pages, head, close and delete, over a real socket."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.serving import LAB, Served, append, events, memory_route

pytestmark = pytest.mark.slow
BOTH_WAYS = True

EMPTY = "0000000000000001_0000000000000000"


def at(sequence: int) -> str:
    return f"0000000000000001_{sequence:016d}"


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"]


# --- append ---


def test_one_event_is_stored_and_answered(client: httpx.Client) -> None:
    answer = client.post("/v1/streams/one/events", json=events("hello")[0])
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["etag"] == f'"{at(1)}"'
    assert body["head"] == at(1)
    assert body["duplicates"] == 0
    (stored,) = body["events"]
    assert (stored["sequence"], stored["cursor"]) == (1, at(1))
    assert stored["payload"] == {"text": "hello"}
    assert stored["routing"] == LAB.model_dump()
    assert stored["metadata"]["request_id"] == answer.headers["x-request-id"]


def test_a_batch_and_ndjson(client: httpx.Client) -> None:
    assert [e["sequence"] for e in append(client, "batch", "a", "b")] == [1, 2]
    lines = b'{"event_type":"t","payload":{}}\n\n{"event_type":"t","payload":{}}'
    answer = client.post(
        "/v1/streams/batch/events",
        content=lines,
        headers={"content-type": "application/x-ndjson"},
    )
    assert [e["sequence"] for e in answer.json()["events"]] == [3, 4]


def test_a_body_without_a_content_type_is_json(client: httpx.Client) -> None:
    answer = client.post("/v1/streams/untyped/events", content=b'{"event_type":"t","payload":{}}')
    assert answer.status_code == 201


def test_the_same_events_again_are_200_and_duplicates(client: httpx.Client) -> None:
    event = {"event_type": "t", "payload": {}, "event_id": "e1"}
    first = client.post("/v1/streams/again/events", json=event)
    second = client.post("/v1/streams/again/events", json=event)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["duplicates"] == 1
    assert second.json()["events"] == first.json()["events"]
    other = client.post("/v1/streams/again/events", json={**event, "payload": {"x": 1}})
    assert code(other) == (409, "event_conflict")


def test_an_idempotency_key_makes_a_body_repeatable(client: httpx.Client) -> None:
    headers = {"idempotency-key": "k1"}
    one = client.post("/v1/streams/keyed/events", json=events("a", "b"), headers=headers)
    two = client.post("/v1/streams/keyed/events", json=events("a", "b"), headers=headers)
    assert (one.status_code, two.status_code) == (201, 200)
    assert two.json()["events"] == one.json()["events"]


def test_a_minimal_answer_leaves_the_payloads_out(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/streams/minimal/events",
        json=events('","ts":', "b"),
        headers={"prefer": "return=minimal"},
    )
    assert answer.headers["preference-applied"] == "return=minimal"
    for event in answer.json()["events"]:
        assert set(event) == {"sequence", "cursor", "event_id"}


def test_an_expected_position_decides(client: httpx.Client) -> None:
    address = "/v1/streams/expected/events"
    first = client.post(address, json=events("a"), headers={"if-match": '"0"'})
    assert first.status_code == 201
    again = client.post(address, json=events("b"), headers={"if-match": '"0"'})
    assert code(again) == (412, "precondition_failed")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.json()["current"] == at(1)
    went_on = client.post(address, json=events("b"), headers={"if-match": again.headers["etag"]})
    assert went_on.status_code == 201


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", (400, "invalid_json")),
        (b"{", (400, "invalid_json")),
        (b"\xff", (400, "invalid_json")),
        (b'{"event_type":"t","payload":{"a":NaN}}', (400, "invalid_json")),
        (b'{"event_type":"t","payload":{"a":"\\ud800"}}', (400, "invalid_json")),
        (b"[" * 100_000, (413, "too_large")),
        (b"[" * 60_000, (400, "invalid_json")),
        (b"[]", (422, "invalid_event")),
        (b"1", (422, "invalid_event")),
        (b'{"event_type":"t"}', (422, "invalid_event")),
        (b'{"event_type":"t","payload":[]}', (422, "invalid_event")),
        (b'{"event_type":"","payload":{}}', (422, "invalid_event")),
        (b'{"event_type":"t","payload":{},"sequence":1}', (422, "invalid_event")),
        (b'{"event_type":"t","payload":{},"event_id":""}', (422, "invalid_event")),
        (b'{"event_type":"t","payload":{},"routing":{"tenant_id":"x"}}', (403, "scope_mismatch")),
    ],
    ids=range(15),
)
def test_a_bad_body_is_refused_under_its_own_code(
    client: httpx.Client, body: bytes, expected: tuple[int, str]
) -> None:
    answer = client.post("/v1/streams/bad/events", content=body)
    status, name = code(answer)
    assert status < 500
    if expected[1] == "invalid_event":
        assert (status, name) in (expected, (422, "invalid_id"))
    else:
        assert (status, name) in (expected, (422, "invalid_event"))
    assert client.head("/v1/streams/bad/events").headers["x-stream-head"] == EMPTY


def test_a_form_body_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/streams/form/events", data={"a": "b"})
    assert code(answer) == (415, "unsupported_media_type")


# --- pages ---


def test_pages_in_both_directions(client: httpx.Client) -> None:
    stored = append(client, "pages", *"abcde")
    page = client.get("/v1/streams/pages/events", params={"limit": 2})
    assert page.headers["cache-control"] == "no-store"
    assert page.json() == {
        "events": stored[:2],
        "next": at(2),
        "head": at(5),
        "earliest": EMPTY,
        "closed": False,
    }
    after = client.get("/v1/streams/pages/events", params={"after": at(3)}).json()
    assert after["events"] == stored[3:]
    by_id = client.get("/v1/streams/pages/events", params={"after": stored[3]["event_id"]}).json()
    assert by_id["events"] == stored[4:]
    before = client.get("/v1/streams/pages/events", params={"before": at(4), "limit": 2}).json()
    assert before["events"] == stored[1:3]
    latest = client.get("/v1/streams/pages/events", params={"after": "latest"}).json()
    assert latest["events"] == []


def test_a_stream_nobody_wrote_to_is_empty(client: httpx.Client) -> None:
    assert client.get("/v1/streams/nobody/events").json()["events"] == []


def test_a_position_that_is_not_in_the_stream_is_gone(client: httpx.Client) -> None:
    append(client, "gone", "a")
    answer = client.get("/v1/streams/gone/events", params={"after": at(9)})
    assert code(answer) == (410, "cursor_gone")
    assert answer.json()["latest"] == at(1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", (400, "invalid_request")),
        ("limit=x", (400, "invalid_request")),
        ("wait=-1", (400, "invalid_request")),
        ("wait=1e9", (400, "invalid_request")),
        ("limt=5", (400, "invalid_request")),
        ("after=" + "x" * 256, (400, "invalid_cursor")),
        ("after=nobody-has-this-id", (410, "cursor_gone")),
        ("tenant_id=t", (400, "invalid_request")),
    ],
)
def test_a_bad_query_is_refused(
    client: httpx.Client, query: str, expected: tuple[int, str]
) -> None:
    assert code(client.get(f"/v1/streams/queries/events?{query}")) == expected


def test_a_long_poll_ends_with_the_event_it_waited_for(
    served: Served, client: httpx.Client
) -> None:
    pages: list[httpx.Response] = []

    def wait() -> None:
        with served.client() as waiting:
            pages.append(waiting.get("/v1/streams/poll/events", params={"wait": 8}))

    thread = threading.Thread(target=wait)
    thread.start()
    served.wait_until(lambda spine: any(h.long_polls for h in spine.statistics().hosts))
    stored = append(client, "poll", "a")
    thread.join()
    assert pages[0].json()["events"] == stored


def test_a_long_poll_that_is_left_is_let_go(served: Served) -> None:
    request = b"GET /v1/streams/left/events?wait=50 HTTP/1.1\r\nHost: a\r\n\r\n"
    with served.connect() as sock:
        sock.sendall(request)
        served.wait_until(lambda spine: any(h.long_polls for h in spine.statistics().hosts))
    served.wait_until(lambda spine: not any(h.long_polls for h in spine.statistics().hosts))


def test_a_long_poll_with_nothing_ends_by_itself(client: httpx.Client) -> None:
    page = client.get("/v1/streams/nothing/events", params={"wait": "0.05"})
    assert (page.status_code, page.json()["events"]) == (200, [])


def test_head_has_the_standing_in_headers(client: httpx.Client) -> None:
    append(client, "head", "a", "b")
    answer = client.head("/v1/streams/head/events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"] == f'"{at(2)}"'
    assert answer.headers["x-stream-head"] == at(2)
    assert answer.headers["x-stream-earliest"] == EMPTY
    assert answer.headers["x-stream-closed"] == "false"


# --- end ---


def test_a_closed_stream_is_read_and_never_written(client: httpx.Client) -> None:
    append(client, "closing", "a")
    closed = client.post("/v1/streams/closing/close")
    assert closed.json() == {"head": at(1), "earliest": EMPTY, "closed": True}
    assert client.post("/v1/streams/closing/close").status_code == 200
    answer = client.post("/v1/streams/closing/events", json=events("b"))
    assert code(answer) == (409, "stream_closed")
    page = client.get("/v1/streams/closing/events").json()
    assert page["closed"] is True
    assert len(page["events"]) == 1


@pytest.mark.parametrize("address", ["/v1/streams/{}/events", "/v1/streams/{}"])
def test_a_deleted_stream_is_gone_with_its_cursors(client: httpx.Client, address: str) -> None:
    stream = f"deleting{len(address)}"
    append(client, stream, "a")
    assert client.delete(address.format(stream)).status_code == 204
    again = append(client, stream, "b")
    assert again[0]["sequence"] == 1
    old = client.get(f"/v1/streams/{stream}/events", params={"after": at(1)})
    assert code(old) == (410, "cursor_gone")
    assert code(client.delete("/v1/streams/never-there")) == (404, "stream_not_found")


# --- the seed's addresses ---


def test_the_seeds_append_answers_the_stored_event(client: httpx.Client) -> None:
    stored = client.post("/timeline/seed/append", json=events("a")[0])
    assert stored.status_code == 201
    assert stored.json()["payload"] == {"text": "a"}
    listed = client.get("/timeline/seed/events", params={"after": ""}).json()
    assert listed["events"] == [stored.json()]
    batch = client.post("/timeline/seed/append", json=events("b", "c")).json()
    assert len(batch["events"]) == 2


# --- addresses and scope ---


@pytest.mark.parametrize(
    "stream", ["a/b", "a%2Fb", "..", ".", "é", "a b", "+", "%", "?#", "x" * 255]
)
def test_an_id_is_one_segment_decoded_once(client: httpx.Client, stream: str) -> None:
    address = f"/v1/streams/{quote(stream, safe='')}/events"
    answer = client.post(httpx.URL(address), json=events("a")[0])
    if stream in ("..", "."):  # httpx resolves dot segments before it sends them
        return
    assert answer.status_code == 201
    assert answer.json()["events"][0]["stream_id"] == stream


def test_dots_are_an_id_like_any_other(served: Served) -> None:
    body = b'{"event_type":"t","payload":{}}'
    head = b"POST /v1/streams/../events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    answer = served.wire(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b'"stream_id":".."' in answer


@pytest.mark.parametrize("segment", [b"%00", b"a%0Ab", b"%ff", b"%zz", b"x" * 256, b"%C2%85"])
def test_a_hostile_id_is_refused(served: Served, segment: bytes) -> None:
    answer = served.wire(
        b"GET /v1/streams/%b/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % segment
    )
    assert answer.startswith(b"HTTP/1.1 422 ")
    assert b'"code":"invalid_id"' in answer


def test_a_method_an_address_does_not_have_is_405_with_what_it_has(client: httpx.Client) -> None:
    answer = client.put("/v1/streams/x/events")
    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, POST"
    assert code(client.get("/nowhere")) == (404, "not_found")


def test_tenants_do_not_meet(served: Served, client: httpx.Client) -> None:
    other = {**LAB.model_dump(), "tenant_id": "t_other"}
    served.ask(lambda spine: spine.routes.create(memory_route(**other)))
    append(client, "scoped", "a")
    with served.client(**{"x-tenant-id": "t_other"}) as stranger:
        assert stranger.get("/v1/streams/scoped/events").json()["events"] == []
    with served.client(**{"x-tenant-id": "t_unknown"}) as unknown:
        answer = unknown.get("/v1/streams/scoped/events")
        assert code(answer) == (404, "no_route_configured")
        assert answer.json()["detail"] == "No route configured for event_stream"


def test_the_request_id_goes_through(client: httpx.Client) -> None:
    answer = client.get("/v1/streams/ids/events", headers={"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"


# --- query ---


def test_a_query_answers_what_matches_and_says_how_far_it_came(client: httpx.Client) -> None:
    for n in range(6):
        event = {
            "event_type": "chat.message" if n % 2 else "canvas.commit",
            "payload": {"n": n},
            "ts": f"2026-11-24T10:0{n}:00Z",
            "metadata": {"run_id": "a,b=c" if n < 4 else "r2"},
        }
        client.post("/v1/streams/asked/events", json=event)

    def asked(query: str) -> dict[str, Any]:
        body: dict[str, Any] = client.get(f"/v1/streams/asked/query?{query}").json()
        return body

    def numbers(body: dict[str, Any]) -> list[int]:
        return [event["payload"]["n"] for event in body["events"]]

    whole = asked("")
    assert (numbers(whole), whole["read"], whole["complete"]) == ([0, 1, 2, 3, 4, 5], 6, True)
    assert numbers(asked("type=chat.message")) == [1, 3, 5]
    assert numbers(asked("type=chat.*,nothing")) == [1, 3, 5]
    assert numbers(asked("since=2026-11-24T10:02:00Z&until=2026-11-24T10:04:00Z")) == [2, 3]
    assert numbers(asked("metadata=run_id=a%252Cb%253Dc&type=canvas.commit")) == [0, 2]
    part = asked("type=chat.message&limit=1")
    assert (numbers(part), part["next"], part["complete"]) == ([1], at(2), False)
    assert numbers(asked(f"type=chat.message&after={part['next']}")) == [3, 5]
    assert numbers(client.get("/v1/streams/nobody/query").json()) == []
    assert code(client.get("/v1/streams/asked/query?since=yesterday")) == (400, "invalid_request")
    assert code(client.get("/v1/streams/asked/query?metadata=run_id")) == (400, "invalid_request")
    assert code(client.get("/v1/streams/asked/query?typ=a")) == (400, "invalid_request")
    assert code(client.get("/v1/streams/asked/query?after=nobody")) == (410, "cursor_gone")
