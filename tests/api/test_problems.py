from __future__ import annotations

import json

import pytest

from eventspine.api.catalogue import catalogue, leaves
from eventspine.api.problem import STATUS, problem, retry_after_s, status_of
from eventspine.contracts import errors

LEAVES = list(leaves())


def made(cls: type[errors.EventspineError], **fields: object) -> errors.EventspineError:
    return cls("what happened", **fields)


@pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.code)
def test_every_error_has_a_status_of_its_own(cls: type[errors.EventspineError]) -> None:
    assert cls in STATUS
    assert 400 <= STATUS[cls] < 600


@pytest.mark.parametrize("cls", LEAVES, ids=lambda cls: cls.code)
def test_every_error_becomes_a_whole_problem_document(cls: type[errors.EventspineError]) -> None:
    answer = problem(made(cls, actual=3, status="a field cannot hide the status"), "/x", "r1")
    document = json.loads(bytes(answer.body))
    headers = dict(answer.raw_headers)
    assert headers[b"content-type"] == b"application/problem+json"
    assert document["status"] == answer.status_code == STATUS[cls]
    assert document["type"] == f"/docs/errors#{cls.code}"
    assert document["code"] == cls.code
    assert document["title"]
    assert document["remedy"]
    assert document["outcome"] in ("refused", "never_ran", "unknown")
    assert (document["instance"], document["request_id"]) == ("/x", "r1")
    assert document["actual"] == 3
    assert (b"retry-after" in headers) == (answer.status_code in (429, 503))


def test_codes_are_unique() -> None:
    codes = [row.code for row in catalogue()]
    assert len(codes) == len(set(codes))


def test_an_error_the_table_does_not_name_has_the_status_of_its_nearest_ancestor() -> None:
    class Odd(errors.InvalidId):
        code = "odd"

    assert status_of(Odd("x")) == 422


def test_only_the_bug_of_a_server_is_a_500() -> None:
    assert [row.code for row in catalogue() if row.status == 500] == ["internal"]


def test_retry_after_is_whole_seconds_from_one() -> None:
    assert retry_after_s(made(errors.Overloaded, retry_after_s=0.2)) == 1
    assert retry_after_s(made(errors.Overloaded, retry_after_s=4.1)) == 5
    assert retry_after_s(made(errors.Overloaded, retry_after_s=float("nan"))) == 1
    assert retry_after_s(made(errors.Draining)) == 1


def test_a_refused_expectation_answers_the_position_to_expect_next() -> None:
    current = "0000000000000001_0000000000000007"
    answer = problem(made(errors.PreconditionFailed, current=current), "/x", "r1")
    assert dict(answer.raw_headers)[b"etag"] == f'"{current}"'.encode()


def test_the_inside_of_the_server_is_not_told() -> None:
    error = errors.Quarantined("t/k rests after KeyError('secret')", key="t/k", cause="secret")
    answer = problem(error, "/x", "r1")
    assert b"secret" not in bytes(answer.body)
    assert b"t/k" not in bytes(answer.body)


def test_a_detail_with_a_lone_surrogate_can_be_said() -> None:
    answer = problem(errors.InvalidJson("near \ud800"), "/x", "r1")
    assert json.loads(bytes(answer.body))["detail"] == "near \ud800"
