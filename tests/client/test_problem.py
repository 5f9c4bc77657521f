from __future__ import annotations

import orjson
import pytest

from eventspine.client.errors import BadAnswer
from eventspine.client.event_ids import derived_id, uuid7
from eventspine.client.problem import error_of
from eventspine.contracts.errors import NoRouteConfigured, Overloaded, PreconditionFailed

URL = "http://x/v1"


def document(code: str, **fields: object) -> bytes:
    return orjson.dumps({"type": "t", "status": 0, "code": code, "detail": "words", **fields})


def test_a_problem_becomes_the_class_it_was() -> None:
    error = error_of(412, document("precondition_failed", expected="0", current="c"), URL)
    assert isinstance(error, PreconditionFailed)
    assert (error.detail, error.current, str(error)) == ("words", "c", "words")


def test_an_error_with_a_constructor_of_its_own_keeps_its_text() -> None:
    error = error_of(404, document("no_route_configured", resource_kind="event_stream"), URL)
    assert isinstance(error, NoRouteConfigured)
    assert error.detail == "words"
    assert error.resource_kind == "event_stream"


def test_retry_after_is_a_field() -> None:
    error = error_of(429, document("overloaded"), URL, "3")
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 3.0


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"a":1}', b"\xff", document("something_new")]
)
def test_what_is_none_of_our_problems_is_a_bad_answer(body: bytes) -> None:
    error = error_of(502, body, URL)
    assert isinstance(error, BadAnswer)
    assert error.status == 502


def test_made_ids_are_version_7_and_differ() -> None:
    made = {uuid7() for _ in range(1000)}
    assert len(made) == 1000
    assert all(event_id[14] == "7" and event_id[19] in "89ab" for event_id in made)


def test_derived_ids_are_the_same_on_every_run() -> None:
    assert derived_id("chat-a", 0) == derived_id("chat-a", 0)
    assert len({derived_id(name, n) for name in ("a", "b") for n in range(100)}) == 200
