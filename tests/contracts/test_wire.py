"""What is taken, what is kept, and that nothing hostile raises anything but our errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventspine.actors.append import Position, Stamp, decide
from eventspine.contracts.errors import EventspineError, InvalidEvent, InvalidJson
from eventspine.contracts.event_id import id_time
from eventspine.contracts.wire import (
    Instant,
    WallClock,
    draft_of,
    event_id_of,
    parse_body,
    parse_line,
    says_the_same,
    without_payload,
)
from tests.inner import examples

STAMP = Stamp("lab", b'{"user_id":"u"}', {"user_id": "u"})
NOW = Instant(1_700_000_000_000, b"2026-11-22T13:05:01.123Z", id_time(1_700_000_000_000))
ADDRESS = (
    b'"stream_id":"s","routing":{"tenant_id":"t","env":"e","mode":"lab","project_id":"default"},'
)
AT = Position(1, 0, False, None)


def stored(drafts) -> list[bytes]:
    return decide(AT, drafts, STAMP, NOW, ADDRESS, event_bytes_max=1 << 30).lines


def body(payload: bytes, more: bytes = b"") -> bytes:
    return b'{"event_type":"t",%b"payload":%b}' % (more, payload)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4),
    st.booleans(),
)
def test_a_payload_is_kept_byte_for_byte(payload, ascii_only) -> None:
    text = json.dumps(payload, ensure_ascii=ascii_only).encode()
    [line] = stored(parse_body(body(text)))
    assert line.endswith(b'"payload":%b}' % text)
    assert bytes(parse_line(line).payload) == text
    assert b"\n" not in line
    assert json.loads(line)["payload"] == payload


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4))
def test_python_values_are_kept(payload) -> None:
    [line] = stored([draft_of({"event_type": "t", "payload": payload})])
    assert json.loads(line)["payload"] == payload


def test_line_breaks_between_tokens_are_removed_and_nothing_else() -> None:
    [line] = stored(parse_body(body(b'{\n\t"a":\r\n "b\\n c",  "d": [1,\n2]}')))
    assert bytes(parse_line(line).payload) == b'{"a": "b\\n c",  "d": [1,2]}'


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e400}',
        b'{"a":' + b"9" * 400 + b"}",
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":"\x01"}',
        b'{"a":"\n"}',
        b'{"a":01}',
        b'{"a":1,}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"{",
        b"",
    ],
)
def test_json_that_could_not_be_served_again_is_refused(payload) -> None:
    with pytest.raises(InvalidJson):
        parse_body(body(payload))


@pytest.mark.parametrize("payload", [b"[]", b"1", b"null", b'"x"', b"true"])
def test_a_payload_is_an_object(payload) -> None:
    with pytest.raises(InvalidEvent):
        parse_body(body(payload))


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[{}]",
        b'{"payload":{}}',
        b'{"event_type":"","payload":{}}',
        b'{"event_type":1,"payload":{}}',
        b'{"event_type":"t","payload":{},"more":1}',
        b'{"event_type":"t","payload":{},"ts":"2026-11-22T13:05:01"}',
        b'{"event_type":"t","payload":{},"routing":{"more":"x"}}',
        b'{"event_type":"t","payload":{},"metadata":[]}',
        b'{"event_type":"%b","payload":{}}' % (b"x" * 256),
        b"[[]]",
        b"5",
    ],
)
def test_an_event_of_another_shape_is_refused(text) -> None:
    with pytest.raises(InvalidEvent):
        parse_body(text)


def test_ndjson_counts_lines_and_skips_empty_ones() -> None:
    drafts = parse_body(body(b'{"n":1}') + b"\r\n\n  \n" + body(b'{"n":2}') + b"\n", ndjson=True)
    assert [bytes(draft.payload) for draft in drafts] == [b'{"n":1}', b'{"n":2}']
    with pytest.raises(InvalidJson, match="line 3"):
        parse_body(body(b"{}") + b"\n\n{oops\n", ndjson=True)
    with pytest.raises(InvalidEvent, match="line 2"):
        parse_body(body(b"{}") + b"\n{}\n", ndjson=True)


def test_an_array_names_the_event_that_is_wrong() -> None:
    with pytest.raises(InvalidEvent, match=r"\$\[1\]"):
        parse_body(b"[" + body(b"{}") + b',{"event_type":"t"}]')
    with pytest.raises(InvalidJson, match="event 1"):
        parse_body(b"[" + body(b"{}") + b"," + body(b'{"a":1e999}') + b"]")


HOSTILE = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")),
    st.binary(max_size=40).map(lambda raw: body(b'{"a":"' + raw + b'"}')),
    st.binary(max_size=40).map(lambda raw: body(b"{}", b'"metadata":{"a":' + raw + b"},")),
    st.text(alphabet='{}[]",:\\u0d8e+-.19tfn \n', max_size=60).map(str.encode),
    JSON.map(lambda value: body(b"{}", b'"metadata":' + json.dumps(value).encode() + b",")),
    JSON.map(lambda value: body(b"{}", b'"ts":' + json.dumps(value).encode() + b",")),
)


@settings(max_examples=examples(250), deadline=None)
@given(HOSTILE, st.booleans())
def test_hostile_bodies_raise_nothing_but_our_errors(raw, ndjson) -> None:
    try:
        lines = stored(parse_body(raw, ndjson=ndjson))
    except EventspineError as error:
        str(error).encode(errors="surrogatepass")
        return
    for line in lines:
        orjson.loads(line)
        parse_line(line)


VALUES = st.recursive(
    JSON | st.binary(max_size=3) | st.floats() | st.text(max_size=5) | st.just(object()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=examples(250), deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["event_type", "payload", "event_id", "ts", "metadata", "routing", "x", "stream_id"]
        ),
        VALUES,
        max_size=5,
    )
    | st.fixed_dictionaries(
        {
            "event_type": st.just("t"),
            "payload": st.dictionaries(st.text(max_size=3), VALUES, max_size=3),
        },
        optional={"metadata": st.dictionaries(st.text(max_size=3), VALUES, max_size=3)},
    )
)
def test_hostile_values_raise_nothing_but_our_errors(event) -> None:
    try:
        lines = stored([draft_of(event)])
    except EventspineError:
        return
    for line in lines:
        orjson.loads(line)


def test_integers_no_double_holds_are_kept_in_payload_and_metadata() -> None:
    big = 2**70
    [line] = stored([draft_of({"event_type": "t", "payload": {"n": big}, "metadata": {"n": big}})])
    assert json.loads(line)["payload"]["n"] == json.loads(line)["metadata"]["n"] == big
    with pytest.raises(InvalidEvent):
        draft_of({"event_type": "t", "payload": {"n": 10**400}})
    with pytest.raises(InvalidEvent):
        draft_of({"event_type": "t", "payload": {"n": 10**5000}})


def same(first: bytes, second: bytes) -> bool:
    [line] = stored(parse_body(first))
    [draft] = parse_body(second)
    return says_the_same(draft, parse_line(line))


def test_the_same_is_what_says_the_same() -> None:
    one = body(b'{"a":1,"b":{"c":null}}')
    assert same(one, one)
    assert same(one, body(b'{ "b":{"c":null}, "a":1 }'))
    assert same(one, body(b'{"a":1,"b":{"c":null}}', b'"metadata":{"user_id":"u"},'))
    for other in (b'{"a":true,"b":{"c":null}}', b'{"a":"1","b":{"c":null}}', b'{"a":1}'):
        assert not same(one, body(other))
    dated = body(b"{}", b'"ts":"2026-11-22T15:00:00+02:00",')
    assert same(dated, body(b"{}", b'"ts":"2026-11-22T13:00:00Z",'))
    assert not same(dated, body(b"{}", b'"ts":"2026-11-22T13:00:01Z",'))


@given(
    st.datetimes(
        timezones=st.sampled_from(
            [UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=11, minutes=30))]
        )
    )
)
def test_a_stated_time_is_kept(when) -> None:
    [line] = stored([draft_of({"event_type": "t", "payload": {}, "ts": when})])
    assert datetime.fromisoformat(parse_line(line).ts) == when


def test_the_clock_formats_milliseconds() -> None:
    now = 1_795_352_701.0005
    clock = WallClock(lambda: now)
    first = clock.read()
    assert first == (1_795_352_701_000, b"2026-11-22T13:05:01.000Z", b"01a2035c-2848-7")
    assert clock.read() is first
    now += 0.998
    assert clock.read().ts == b"2026-11-22T13:05:01.998Z"
    now += 0.002
    assert clock.read().ts == b"2026-11-22T13:05:02.000Z"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60))
def test_an_event_id_and_type_come_back(text) -> None:
    [line] = stored([draft_of({"event_type": text, "payload": {}, "event_id": text})])
    assert event_id_of(line) == text
    assert parse_line(line).event_type == text
    assert json.loads(without_payload([line])[0])["event_id"] == text
