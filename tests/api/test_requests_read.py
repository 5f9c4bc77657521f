"""Headers, queries and contexts, without a server."""

from __future__ import annotations

import re

import pytest

from eventspine.api import negotiation, query
from eventspine.api.address import decoded_segment
from eventspine.api.context import ContextReader, request_id_of, trace_id_of
from eventspine.api.fields import Fields
from eventspine.api.guard import refuse_framing
from eventspine.api.refusals import UnsupportedMediaType
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import (
    ContextConflict,
    ContextMissing,
    EventspineError,
    InvalidCursor,
    InvalidId,
    InvalidRequest,
)
from eventspine.contracts.settings import LabSettings, Settings

FULL = ((b"x-tenant-id", b"t1"), (b"x-env", b"dev"), (b"x-mode", b"lab"))


def fields(*pairs: tuple[bytes, bytes]) -> Fields:
    return Fields(pairs)


def context(*pairs: tuple[bytes, bytes], lab: bool = True, **query: str) -> RequestContext:
    settings = Settings(lab=LabSettings()) if lab else Settings()
    return ContextReader(settings).read(Fields(pairs), "r1", query)


# --- context ---


def test_headers_make_the_context() -> None:
    more = ((b"x-project-id", b"p"), (b"x-app-id", b"a"), (b"x-user-id", b"u"), (b"x-run-id", b"n"))
    made = context(*FULL, *more, (b"x-surface-id", "SQUARED²".encode()))
    assert (made.tenant_id, made.env, made.mode, made.project_id) == ("t1", "dev", "lab", "p")
    assert (made.app_id, made.user_id, made.run_id) == ("a", "u", "n")
    assert made.surface_id == "squared2"
    assert made.request_id == "r1"


def test_the_lab_context_completes_a_request_that_states_none() -> None:
    made = context()
    assert (made.tenant_id, made.env, made.mode) == ("t_demo", "dev", "lab")


def test_there_is_no_default_outside_lab() -> None:
    with pytest.raises(ContextMissing) as caught:
        context((b"x-mode", b"production"))
    assert caught.value.fields["missing"] == ["tenant_id", "env"]
    with pytest.raises(ContextMissing):
        context(lab=False)


def test_a_value_may_be_stated_twice_but_not_differently() -> None:
    assert context(*FULL, (b"x-tenant-id", b"t1"), tenant_id="t1").tenant_id == "t1"
    with pytest.raises(ContextConflict):
        context(*FULL, (b"x-tenant-id", b"t2"))
    with pytest.raises(ContextConflict):
        context(*FULL, tenant_id="t2")
    with pytest.raises(ContextConflict):
        context((b"x-request-id", b"a"), (b"x-request-id", b"b"))


def test_two_requests_of_one_scope_keep_their_own_ids() -> None:
    reader = ContextReader(Settings(lab=LabSettings()))
    assert reader.read(fields(), "r1").request_id == "r1"
    assert reader.read(fields((b"x-request-id", b"mine")), "r2").request_id == "mine"
    assert reader.read(fields(), "r3").request_id == "r3"


@pytest.mark.parametrize("value", [b"", b"   ", b"x" * 256, "a\u0085b".encode()])
def test_a_value_that_cannot_be_an_id_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidId):
        context(*FULL[1:], (b"x-tenant-id", value))


def test_a_value_that_is_not_utf_8_is_refused_not_guessed() -> None:
    with pytest.raises(InvalidRequest):
        context(*FULL[1:], (b"x-tenant-id", b"caf\xe9"))
    assert context(*FULL[1:], (b"x-tenant-id", b"caf%C3%A9")).tenant_id == "caf%C3%A9"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_valid_traceparent_is_the_trace() -> None:
    assert trace_id_of(f"00-{TRACE}-00f067aa0ba902b7-01") == TRACE
    assert trace_id_of(f"cc-{TRACE}-00f067aa0ba902b7-01-what-comes-later") == TRACE
    assert trace_id_of(None) is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "garbage",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7-01-more",
    ],
)
def test_a_bad_traceparent_is_replaced(bad: str) -> None:
    replaced = trace_id_of(bad)
    assert replaced is not None
    assert re.fullmatch("[0-9a-f]{32}", replaced)
    assert replaced != TRACE


def test_request_ids_are_made_when_missing_or_unusable() -> None:
    assert request_id_of(fields((b"x-request-id", b"mine"))) == "mine"
    made = {request_id_of(fields()), request_id_of(fields((b"x-request-id", b"\xff")))}
    assert len(made) == 2


# --- queries ---


def test_a_misspelt_parameter_is_refused_with_the_right_name() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'limit'"):
        query.parsed(b"limt=5", ["limit", "after"])


def test_a_parameter_with_an_underscore_in_front_is_ignored() -> None:
    assert query.parsed(b"_=123&limit=5&", ["limit"]) == {"limit": "5"}


@pytest.mark.parametrize("raw", [b"a=%zz", b"a=%ff", b"a=1&a=2", b"%a=1", "a=é".encode()])
def test_a_query_that_two_readers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        query.parsed(raw, ["a"])


def test_query_values_are_decoded_once() -> None:
    assert query.parsed(b"a=x%252Fy+z%26", ["a"]) == {"a": "x%2Fy z&"}
    assert query.parsed(b"a=1&a=1", ["a"]) == {"a": "1"}


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e3", "²", "9" * 30, " 1"])
def test_a_limit_is_a_whole_number_from_one(text: str) -> None:
    with pytest.raises(InvalidRequest):
        query.whole_number({"limit": text}, "limit", 1)


@pytest.mark.parametrize("text", ["", "-1", "61", "nan", "inf", "1_0", "0x1", "1e999"])
def test_a_wait_is_seconds_within_the_limit(text: str) -> None:
    with pytest.raises(InvalidRequest):
        query.seconds({"wait": text}, "wait", 60.0)


def test_a_wait_may_be_a_fraction() -> None:
    assert query.seconds({"wait": "0.25"}, "wait", 60.0) == 0.25
    assert query.seconds({"wait": "5e-1"}, "wait", 60.0) == 0.5
    assert query.seconds({}, "wait", 60.0) == 0.0


# --- paths ---


def test_a_segment_is_decoded_exactly_once() -> None:
    assert decoded_segment(b"a%2Fb", "stream_id") == "a/b"
    assert decoded_segment(b"a%252Fb", "stream_id") == "a%2Fb"
    assert decoded_segment(b"a+b", "stream_id") == "a+b"
    assert decoded_segment("é".encode(), "stream_id") == "é"


@pytest.mark.parametrize("raw", [b"%ff", b"%zz", b"100%", b"%c3"])
def test_a_segment_that_is_no_text_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidId):
        decoded_segment(raw, "stream_id")


# --- framing, negotiation ---


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        ((b"host", b"a"), (b"host", b"a")),
        ((b"host", b""),),
        ((b"host", b"a b"),),
        ((b"host", b"a/b"),),
        ((b"host", b"a"), (b"content-length", b"1"), (b"transfer-encoding", b"chunked")),
        ((b"host", b"a"), (b"content-length", b"1"), (b"content-length", b"1")),
    ],
)
def test_a_request_with_two_readings_is_refused(pairs: tuple[tuple[bytes, bytes], ...]) -> None:
    with pytest.raises(InvalidRequest):
        refuse_framing(Fields(pairs))


@pytest.mark.parametrize("host", [b"a", b"a:80", b"127.0.0.1:8080", b"[::1]:8080", b"xn--a.b"])
def test_a_usual_host_is_taken(host: bytes) -> None:
    refuse_framing(fields((b"host", host)))


@pytest.mark.parametrize(
    ("content_type", "ndjson"),
    [
        (None, False),
        (b"application/json", False),
        (b"Application/JSON; charset=UTF-8", False),
        (b"application/x-ndjson", True),
    ],
)
def test_media_types_taken(content_type: bytes | None, ndjson: bool) -> None:
    pairs = [] if content_type is None else [(b"content-type", content_type)]
    assert negotiation.is_ndjson(Fields(pairs)) is ndjson


@pytest.mark.parametrize(
    "content_type", [b"", b"text/plain", b"application/json; charset=latin-1", b"multipart/x"]
)
def test_media_types_refused(content_type: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        negotiation.is_ndjson(fields((b"content-type", content_type)))


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (b"text/event-stream", True),
        (b"application/json, text/event-stream; q=0.5", True),
        (b"text/event-stream;q=0", False),
        (b"*/*", False),
        (b"application/json", False),
    ],
)
def test_only_an_accept_that_names_it_gets_an_event_stream(accept: bytes, wanted: bool) -> None:
    assert negotiation.wants_event_stream(fields((b"accept", accept))) is wanted


def test_preferences() -> None:
    assert negotiation.wants_minimal(fields((b"prefer", b"respond-async, return=minimal")))
    assert negotiation.wants_minimal(fields((b"prefer", b'return="minimal"')))
    assert not negotiation.wants_minimal(fields((b"prefer", b"return=representation")))


CURSOR = b"0000000000000001_0000000000000002"


def test_an_expected_position_is_a_quoted_cursor_or_zero() -> None:
    assert negotiation.expected_position(fields((b"if-match", b'"0"'))) == "0"
    assert negotiation.expected_position(fields((b"if-match", b'"%b"' % CURSOR))) == CURSOR.decode()
    assert negotiation.expected_position(fields()) is None


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        (b"0", InvalidRequest),
        (b"*", InvalidRequest),
        (b'W/"0"', InvalidRequest),
        (b'"0", "1"', InvalidRequest),
        (b'""', InvalidRequest),
        (b'"7"', InvalidCursor),
    ],
)
def test_other_expectations_are_refused(tag: bytes, error: type[EventspineError]) -> None:
    with pytest.raises(error):
        negotiation.expected_position(fields((b"if-match", tag)))


def test_an_idempotency_key_may_wear_quotes() -> None:
    assert negotiation.idempotency_key(fields((b"idempotency-key", b'"k"'))) == "k"
    assert negotiation.idempotency_key(fields((b"idempotency-key", b"k"))) == "k"
