"""Random requests, whole and cut, well made and not: both ways of an append answer alike."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.both_ways import ORIGIN, Ways, opened, post

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with ExitStack() as stack:
        yield opened(stack, tmp_path_factory.mktemp("roots"))


IDS = st.sampled_from(["id-1", "id-2", "id-3", "é", "x" * 256, "", "a\nb", "0" * 26])
PAYLOADS = st.sampled_from(
    ['{"n":1}', '{"n": 2, "m": [1,\n 2]}', "{}", "[]", "1", '{"a":1e999}', "{"]
)
EXTRA = st.sampled_from(
    [
        "",
        ',"ts":"2026-01-01T00:00:00Z"',
        ',"ts":"x"',
        ',"unknown":1',
        ',"metadata":{"a":1}',
        ',"stream_id":"other"',
        ',"routing":{"tenant_id":"other"}',
        ',"metadata":{"user_id":"o"}',
        '"',
        ',"metadata":{"request_id":"mine"}',
    ]
)


@st.composite
def events(draw: st.DrawFn) -> str:
    event_id = draw(st.none() | IDS)
    stated = "" if event_id is None else f',"event_id":{json.dumps(event_id)}'
    payload = draw(PAYLOADS.filter(lambda text: text[:1] == "{") | PAYLOADS)
    return f'{{"event_type":"t","payload":{payload}{stated}{draw(st.just("") | EXTRA)}}}'


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    many = draw(st.lists(events(), max_size=6))
    kind = draw(st.sampled_from(["one", "one", "array", "lines", "junk"]))
    if kind == "junk":
        return draw(st.binary(max_size=20))
    if kind == "one":
        return draw(events()).encode()
    text = f"[{','.join(many)}]" if kind == "array" else "\n".join(many)
    return draw(st.sampled_from(["", " ", "\n"])).encode() + text.encode()


CURSOR = "0000000000000001_000000000000000"
FIELDS = st.sampled_from(
    [
        "Content-Type: application/json",
        "content-type:application/json; charset=utf-8",
        "Content-Type: application/x-ndjson",
        "Content-Type: application/x-ndjson",
        "Content-Type: text/plain",
        "Content-Type: application/json; charset=latin-1",
        "Prefer: return=minimal",
        'prefer: respond-async, return="minimal"',
        "Prefer: x",
        "X-User-Id: u",
        "X-User-Id: caf\xc3\xa9",
        "X-User-Id: \xff",
        "X-User-Id:",
        "X-Request-Id: mine",
        "X-Request-Id: mine",
        "X-Request-Id: other",
        "X-Request-Id:",
        "X-Tenant-Id: t_demo",
        "X-Tenant-Id: nobody",
        "X-Mode: lab",
        "X-Mode: production",
        "X-Surface-Id: SQUARED",
        "X-Project-Id: default",
        "X-App-Id: a",
        "X-Run-Id: r",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "Idempotency-Key: k1",
        'Idempotency-Key: "k2"',
        "Idempotency-Key: k3",
        "Idempotency-Key:",
        'If-Match: "0"',
        f'If-Match: "{CURSOR}1"',
        f'If-Match: "{CURSOR}2"',
        "If-Match: *",
        f"Origin: {ORIGIN}",
        "Origin: https://evil.example",
        "Origin: http://a",
        "Host: b",
        "Expect: 100-continue",
        "Connection: keep-alive",
        "Connection: Keep-Alive, x",
        "X-A : b",
        " folded",
        "X-B:\tc\t",
        "Content-Length: 3",
        "Cookie: a=b",
        "X-C: \x01",
        "Transfer-Encoding: chunked",
        "Upgrade: h2c",
        "Accept: */*",
        "User-Agent: x",
    ]
)
STREAMS = itertools.count()
EXAMPLES = int(os.environ.get("EVENTSPINE_LANE_EXAMPLES", "100"))


@settings(
    max_examples=int(os.environ.get("EVENTSPINE_LANE_EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_both_ways_answer_any_request_alike(ways: Ways, data: st.DataObject) -> None:
    names = st.sampled_from(["d%06d", "d.%06d", "d~%06d:@", "d%%20%06d"])
    stream = data.draw(names) % next(STREAMS)
    raws = [post(stream)] if data.draw(st.booleans()) else []  # awake, or not
    for _ in range(data.draw(st.integers(1, 4))):
        fields = data.draw(st.lists(FIELDS, max_size=3))
        raws.append(post(stream, data.draw(bodies()), *fields))
    cut = data.draw(st.none() | st.integers(0, len(raws[-1])))
    ways.same(*raws, cut=cut)
