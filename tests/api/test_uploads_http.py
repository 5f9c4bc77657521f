"""Multipart uploads over HTTP: begun, parts put, listed, completed, aborted, signed, refused."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

OBJECTS = "/v1/objects"


def begin(client: httpx.Client, key: str, **asked: Any) -> str:
    made = client.post(f"{OBJECTS}/{key}/uploads", json=asked)
    assert made.status_code == 201, made.text
    return f"{OBJECTS}/{key}/uploads/{made.json()['upload_id']}"


def put(client: httpx.Client, upload: str, number: int, data: bytes) -> dict[str, Any]:
    answer = client.put(f"{upload}/parts/{number}", content=data)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listed(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"parts": [{"number": one["number"], "sha256": one["sha256"]} for one in parts]}


def test_the_life_of_an_upload(client: httpx.Client) -> None:
    upload = begin(client, "life%2Fbig", content_type="text/plain", metadata={"a": 1})
    big = bytes(range(256)) * 2048  # larger than any other body may be here
    two = put(client, upload, 2, b"end")
    one = put(client, upload, 1, b"first try")
    one = put(client, upload, 1, big)
    assert (one["size"], one["sha256"]) == (len(big), hashlib.sha256(big).hexdigest())
    page = client.get(upload, params={"limit": 1}).json()
    assert (page["parts"], page["next"]) == ([one], 1)
    assert (page["upload"]["size"], page["upload"]["metadata"]) == (len(big) + 3, {"a": 1})
    rest = client.get(upload, params={"after": 1}).json()
    assert (rest["parts"], rest["next"]) == ([two], None)
    found = client.get("/v1/uploads", params={"prefix": "life/"}).json()
    assert [found_one["key"] for found_one in found["uploads"]] == ["life/big"]
    made = client.post(f"{upload}/complete", json=listed(one, two), headers={"if-none-match": "*"})
    assert made.status_code == 200, made.text
    assert made.headers["etag"] == f'"{made.json()["etag"]}"'
    assert (made.json()["content_type"], made.json()["metadata"]) == ("text/plain", {"a": 1})
    assert client.get(f"{OBJECTS}/life%2Fbig").content == big + b"end"
    assert client.post(f"{upload}/complete", json=listed(one, two)).json() == made.json()
    assert client.get(upload).json()["code"] == "upload_not_found"


def test_conditions_hold_when_it_is_completed(client: httpx.Client) -> None:
    etag = client.put(f"{OBJECTS}/conditions", content=b"old").headers["etag"]
    upload = begin(client, "conditions")
    body = listed(put(client, upload, 1, b"new"))
    refused = client.post(f"{upload}/complete", json=body, headers={"if-none-match": "*"})
    assert (refused.status_code, refused.headers["etag"]) == (412, etag)
    assert client.get(f"{OBJECTS}/conditions").content == b"old"
    sums = client.post(f"{upload}/complete", json={**body, "sha256": "0" * 64})
    assert (sums.status_code, sums.json()["code"]) == (422, "checksum_mismatch")
    made = client.post(f"{upload}/complete", json=body, headers={"if-match": etag})
    assert made.status_code == 200, made.text
    assert client.get(f"{OBJECTS}/conditions").content == b"new"


def test_an_abort(client: httpx.Client) -> None:
    upload = begin(client, "abort")
    body = listed(put(client, upload, 1, b"x"))
    assert client.delete(upload).status_code == 204
    assert client.delete(upload).status_code == 404
    assert client.post(f"{upload}/complete", json=body).json()["code"] == "upload_not_found"


def test_a_part_by_somebody_else(client: httpx.Client) -> None:
    upload = begin(client, "by%2Fothers")
    asked = {"content_type": "image/png", "size_max": 4, "expires_s": 60}
    made = client.post(f"{upload}/parts/3/presign", json=asked).json()
    png = {"content-type": "image/png"}
    with httpx.Client(base_url=client.base_url) as bare:
        wrong = bare.put(made["path"], content=b"1234")
        assert (wrong.status_code, wrong.json()["code"]) == (403, "upload_refused")
        large = bare.put(made["path"], content=b"12345", headers=png)
        assert (large.status_code, large.json()["limit"]) == (413, "size_max")
        forged = bare.put(made["path"][:-1] + "_", content=b"1", headers=png)
        assert forged.json()["code"] == "upload_refused"
        sums = bare.put(made["path"], content=b"1", headers={**png, "x-object-sha256": "0" * 64})
        assert sums.json()["code"] == "checksum_mismatch"
        part = bare.put(made["path"], content=b"1234", headers=png).json()
        assert (part["number"], part["size"]) == (3, 4)
        stored = client.post(f"{upload}/complete", json=listed(part))
        assert stored.status_code == 200, stored.text
        late = bare.put(made["path"], content=b"1234", headers=png)
        assert (late.status_code, late.json()["code"]) == (404, "upload_not_found")
    assert client.get(f"{OBJECTS}/by%2Fothers").content == b"1234"


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    upload = begin(client, "wrong")
    part = put(client, upload, 1, b"x")
    for number in ("0", "10001", "a", "1.0", "-1"):
        answer = client.put(f"{upload}/parts/{number}", content=b"x")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parts"), number
    for body, code in (
        ({"parts": []}, "invalid_parts"),
        ({"parts": [{"number": 1, "sha256": "0" * 64}]}, "invalid_parts"),
        ({"parts": [{"number": 2, "sha256": part["sha256"]}]}, "invalid_parts"),
        (listed(part, part), "invalid_parts"),
        ({"parts": [{"number": 1, "sha256": "x"}]}, "invalid_request"),
        ({"parts": [{"number": 1.5, "sha256": part["sha256"]}]}, "invalid_request"),
        ({}, "invalid_request"),
    ):
        answer = client.post(f"{upload}/complete", json=body)
        assert answer.json()["code"] == code, body
    other = upload.replace("/wrong/", "/other/")
    assert client.put(f"{other}/parts/1", content=b"").json()["code"] == "upload_not_found"
    typed = client.post(f"{OBJECTS}/wrong/uploads", json={"content_type": "text"})
    assert typed.json()["code"] == "invalid_request"
    assert client.get("/v1/uploads?limt=1").json()["code"] == "invalid_request"
    assert client.post(f"{upload}/complete", json=listed(part)).status_code == 200


def test_a_key_may_be_called_presign(client: httpx.Client) -> None:
    upload = begin(client, "presign")
    assert client.delete(upload).status_code == 204
