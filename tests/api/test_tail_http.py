"""Live readers over a real socket: nothing lost, nothing twice, and every end has a reason."""

from __future__ import annotations

import json

import httpx
import pytest
from httpx_sse import connect_sse

from tests.api.serving import Serve, Served, append, events, readers, tail

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "asgi"])
def direct_delivery(request: pytest.FixtureRequest) -> bool:
    """Every test of this module holds whether events go past the reader's task or through it."""
    way: bool = request.param
    return way


def at(sequence: int) -> str:
    return f"0000000000000001_{sequence:016d}"


def test_the_headers_are_what_browsers_and_proxies_need(client: httpx.Client) -> None:
    with tail(client, "/v1/streams/h/sse") as reading:
        headers = reading.response.headers
        assert reading.response.status_code == 200
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-cache, no-transform"
        assert headers["x-accel-buffering"] == "no"


def test_history_then_live_without_gap_or_double(client: httpx.Client) -> None:
    append(client, "live", "a", "b")
    with tail(client, "/v1/streams/live/sse") as reading:
        assert reading.texts(2) == ["a", "b"]
        append(client, "live", "c", "d")
        found = reading.take(2)
        assert [event.last_event_id for event in found] == [at(3), at(4)]
        assert {event.name for event in found} == {"message"}
        assert reading.parser.retry is not None


def test_the_page_address_streams_for_those_who_ask(client: httpx.Client) -> None:
    append(client, "accept", "a")
    with tail(client, "/v1/streams/accept/events", accept="text/event-stream") as reading:
        assert reading.texts(1) == ["a"]


def test_a_reader_resumes_at_every_cut_point(client: httpx.Client) -> None:
    stored = append(client, "cuts", *"abcdef")
    for n, event in enumerate(stored):
        for position in (event["cursor"], event["event_id"]):
            expected = list("abcdef"[n + 1 :])
            with tail(client, "/v1/streams/cuts/sse", **{"last-event-id": position}) as reading:
                assert reading.texts(len(expected)) == expected
            with tail(client, f"/v1/streams/cuts/sse?after={position}") as reading:
                assert reading.texts(len(expected)) == expected


def test_the_header_wins_over_the_address(client: httpx.Client) -> None:
    append(client, "wins", "a", "b", "c")
    address = f"/v1/streams/wins/sse?after={at(0)}&last_event_id={at(1)}"
    with tail(client, address, **{"last-event-id": at(2)}) as reading:
        assert reading.texts(1) == ["c"]
    with tail(client, address) as reading:
        assert reading.texts(1) == ["b"]
    with tail(client, f"/v1/streams/wins/sse?after={at(1)}", **{"last-event-id": ""}) as reading:
        assert reading.texts(1) == ["b"]


def test_latest_means_from_now_on(served: Served, client: httpx.Client) -> None:
    append(client, "latest", "old")
    with tail(client, "/v1/streams/latest/sse?after=latest") as reading:
        append(client, "latest", "new")
        assert reading.texts(1) == ["new"]


@pytest.mark.parametrize("position", [at(99), "0000000000000009_0000000000000001", "no-such-id"])
def test_a_position_that_is_gone_is_said_in_the_stream(client: httpx.Client, position: str) -> None:
    stream = f"gap-{position}"
    append(client, stream, "a")
    with tail(client, f"/v1/streams/{stream}/sse", **{"last-event-id": position}) as reading:
        assert reading.response.status_code == 200
        (gap,) = reading.take(1)
        data = json.loads(gap.data)
        assert gap.name == "gap"
        assert data["requested"] == position
        assert data["next"] == gap.last_event_id == at(0)
        assert data["earliest"] == at(0)
        assert reading.texts(1) == ["a"]


def test_a_closed_stream_ends_for_good(client: httpx.Client) -> None:
    append(client, "end", "a")
    client.post("/v1/streams/end/close")
    with tail(client, "/v1/streams/end/sse") as reading:
        assert reading.texts(1) == ["a"]
        (end,) = reading.rest()
    assert end.name == "end"
    assert json.loads(end.data) == {"reason": "closed", "retry": False, "cursor": at(1)}
    assert end.last_event_id == at(1)
    back = client.get("/v1/streams/end/sse", headers={"last-event-id": at(1)})
    assert (back.status_code, back.content) == (204, b"")


def test_a_reader_hears_of_close_and_delete(client: httpx.Client) -> None:
    for stream, reason in (("closes", "closed"), ("deletes", "deleted")):
        append(client, stream, "a")
        with tail(client, f"/v1/streams/{stream}/sse") as reading:
            assert reading.texts(1) == ["a"]
            if reason == "closed":
                client.post(f"/v1/streams/{stream}/close")
            else:
                client.delete(f"/v1/streams/{stream}")
            (end,) = reading.rest()
            assert json.loads(end.data)["reason"] == reason
            assert json.loads(end.data)["retry"] is False


def test_a_quiet_line_has_heartbeats(client: httpx.Client) -> None:
    with tail(client, "/v1/streams/quiet/sse") as reading:
        while reading.parser.comments < 3:
            assert reading.read_on()


def test_a_reader_that_leaves_is_forgotten_at_once(served: Served) -> None:
    with served.client() as own, tail(own, "/v1/streams/leaving/sse") as reading:
        assert reading.read_on()
        assert served.ask(readers) >= 1
    served.wait_until(lambda spine: readers(spine) == 0)


def test_the_context_may_be_in_the_address(client: httpx.Client) -> None:
    append(client, "query", "a")
    scope = "tenant_id=t_demo&env=dev&mode=lab&project_id=default&surface_id=_"
    with tail(client, f"/v1/streams/query/sse?{scope}") as reading:
        assert reading.texts(1) == ["a"]
    address = "/v1/streams/query/sse?tenant_id=t_demo"
    answer = client.get(address, headers={"x-tenant-id": "other"})
    assert (answer.status_code, answer.json()["code"]) == (400, "context_conflict")
    answer = client.get("/v1/streams/query/sse?tenant=t_demo")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_parser_of_others_reads_the_same(client: httpx.Client) -> None:
    texts = ["\r\n\r", "\u2028", "\ufeff", "\0", "  lead", "data: x\n\nid: 9", "é" * 3000]
    append(client, "others", *texts)
    client.post("/v1/streams/others/close")
    with connect_sse(client, "GET", "/v1/streams/others/sse") as source:
        found = list(source.iter_sse())
    assert [event.json()["payload"]["text"] for event in found[:-1]] == texts
    assert [event.id for event in found[:-1]] == [at(n + 1) for n in range(len(texts))]
    assert found[-1].event == "end"


def test_a_reader_too_many_is_told_in_the_stream(serve: Serve) -> None:
    with serve(subscribers_max=1, heartbeat_s=0.2).client() as own:
        with tail(own, "/v1/streams/a/sse") as first:
            assert first.read_on()
            with own.stream("GET", "/v1/streams/a/sse") as second:
                assert second.status_code == 200
                body = b"".join(second.iter_raw())
        assert b"event: end\nretry: " in body
        assert b'"reason":"overloaded","retry":true' in body


def test_a_reader_that_takes_nothing_is_sent_away(serve: Serve) -> None:
    server = serve(
        reader_stall_s_max=0.3, heartbeat_s=0.1, reader_lag_bytes_max=1024, drain_s_max=1.0
    )
    with server.client() as own:
        big = {"event_type": "t", "payload": {"text": "x" * 900_000}}
        for _ in range(20):
            assert own.post("/v1/streams/stall/events", json=big).status_code == 201
        with server.connect() as sock:
            sock.sendall(b"GET /v1/streams/stall/sse HTTP/1.1\r\nHost: a\r\n\r\n")
            server.wait_until(lambda spine: readers(spine) == 1)
            server.wait_until(lambda spine: readers(spine) == 0)


# --- many streams ---


def test_many_streams_on_one_connection_resume_with_one_id(client: httpx.Client) -> None:
    for stream in ("m1", "m2", "m/3"):
        append(client, stream.replace("/", "%2F"), f"{stream}-a", f"{stream}-b")
    address = httpx.URL("/v1/sse", params={"streams": "m2,m1,m%2F3"})
    with tail(client, str(address)) as reading:
        found = reading.take(6)
    texts = [json.loads(event.data)["payload"]["text"] for event in found]
    assert sorted(texts) == sorted(f"{s}-{x}" for s in ("m1", "m2", "m/3") for x in "ab")
    for n, event in enumerate(found):
        assert len(event.last_event_id) <= 128
        left = texts[n + 1 :]
        with tail(client, str(address), **{"last-event-id": event.last_event_id}) as again:
            assert sorted(again.texts(len(left))) == sorted(left)
    with tail(client, str(address), **{"last-event-id": found[-1].last_event_id}) as again:
        append(client, "m1", "live")
        assert again.texts(1) == ["live"]
    assert client.get("/v1/sse?streams=m1", headers={"last-event-id": "bad"}).status_code == 400


def test_one_of_many_streams_ends_and_the_others_go_on(client: httpx.Client) -> None:
    append(client, "n1", "a")
    append(client, "n2", "b")
    client.post("/v1/streams/n1/close")
    with tail(client, "/v1/sse?streams=n1,n2") as reading:
        first = reading.take(3)
        (end,) = [event for event in first if event.name == "end"]
        assert json.loads(end.data)["stream_id"] == "n1"
        assert json.loads(end.data)["retry"] is False
        append(client, "n2", "c")
        assert reading.texts(1) == ["c"]
        client.post("/v1/streams/n2/close")
        (last,) = reading.rest()
        assert json.loads(last.data)["stream_id"] == "n2"


def test_a_gap_in_one_of_many_streams_names_it(client: httpx.Client) -> None:
    append(client, "g1", "a")
    append(client, "g2", "b")
    with tail(client, "/v1/sse?streams=g1,g2&after=latest") as reading:
        append(client, "g1", "c")
        mark = reading.take(1)[0].last_event_id
    client.delete("/v1/streams/g1")
    append(client, "g1", "new")
    with tail(client, "/v1/sse?streams=g1,g2", **{"last-event-id": mark}) as reading:
        (gap,) = reading.take(1)
        assert gap.name == "gap"
        assert json.loads(gap.data)["stream_id"] == "g1"
        assert reading.texts(1) == ["new"]


@pytest.mark.parametrize(
    ("streams", "status"),
    [("", 400), ("a,a", 400), (",".join(map(str, range(17))), 413), ("a,", 422)],
)
def test_a_bad_list_of_streams_is_refused(client: httpx.Client, streams: str, status: int) -> None:
    assert client.get(f"/v1/sse?streams={streams}").status_code == status


# --- stop ---


def test_a_stop_tells_readers_and_finishes_appends(serve: Serve) -> None:
    server = serve(heartbeat_s=0.2)
    with server.client() as own, tail(own, "/v1/streams/s/sse") as reading:
        append(own, "s", "a")
        assert reading.texts(1) == ["a"]
        server.stop()
        (end,) = reading.rest()
    assert json.loads(end.data) == {"reason": "draining", "retry": True, "cursor": at(1)}
    assert reading.parser.retry is not None
    server._thread.join(5)
    assert server.stopped


def test_a_stop_does_not_wait_for_a_reader_that_takes_nothing(serve: Serve) -> None:
    server = serve(drain_s_max=0.3, reader_lag_bytes_max=1024)
    with server.client() as own:
        own.post("/v1/streams/s/events", json=events("x" * 900_000))
        sockets = [server.connect() for _ in range(3)]
        for sock in sockets:
            sock.sendall(b"GET /v1/streams/s/sse HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_until(lambda spine: readers(spine) == 3)
        for _ in range(12):
            own.post("/v1/streams/s/events", json=events("x" * 900_000))
        server.stop()
        server._thread.join(5)
        assert server.stopped
        for sock in sockets:
            sock.close()
