"""Objects over HTTP: streamed bodies, ranges, conditions, pages, signed uploads, problems."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx

OBJECTS = "/v1/objects"


def test_the_life_of_an_object(client: httpx.Client) -> None:
    address = f"{OBJECTS}/life%2F1.txt"
    assert client.get(address).json()["code"] == "object_not_found"
    text = {"content-type": "text/plain"}
    made = client.put(address, content=b"hello", headers={**text, "if-none-match": "*"})
    assert made.status_code == 200, made.text
    assert (made.json()["key"], made.json()["size"]) == ("life/1.txt", 5)
    assert made.headers["etag"] == f'"{made.json()["etag"]}"'
    again = client.put(address, content=b"x", headers={"if-none-match": "*"})
    assert (again.status_code, again.headers["etag"]) == (412, made.headers["etag"])
    read = client.get(address)
    assert (read.content, read.headers["content-type"]) == (b"hello", "text/plain")
    assert read.headers["x-object-sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert read.headers["content-security-policy"].startswith("sandbox")
    head = client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == "5"
    unchanged = client.get(address, headers={"if-none-match": made.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    changed = client.put(address, content=b"", headers={"if-match": made.headers["etag"]})
    assert (changed.status_code, changed.json()["size"]) == (200, 0)
    assert client.get(address).content == b""
    assert client.delete(address, headers={"if-match": made.headers["etag"]}).status_code == 412
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 404
    assert client.head(address).status_code == 404


def test_a_body_without_a_length_and_larger_than_other_bodies_may_be(client: httpx.Client) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB; body_bytes_max is 64 KiB here

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(data), 50_000):
            yield data[at : at + 50_000]

    made = client.put(f"{OBJECTS}/streamed", content=pieces())
    assert made.json()["sha256"] == hashlib.sha256(data).hexdigest()
    assert client.get(f"{OBJECTS}/streamed").content == data


def test_ranges(client: httpx.Client) -> None:
    address = f"{OBJECTS}/ranges"
    etag = client.put(address, content=b"0123456789").headers["etag"]
    for asked, status, content, place in (
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ):
        answer = client.get(address, headers={"range": asked})
        found = (answer.status_code, answer.content, answer.headers.get("content-range"))
        assert found == (status, content, place), asked
    for asked in ("bytes=10-", "bytes=-0"):
        answer = client.get(address, headers={"range": asked})
        assert (answer.status_code, answer.json()["size"]) == (416, 10)
    same = client.get(address, headers={"range": "bytes=1-1", "if-range": etag})
    other = client.get(address, headers={"range": "bytes=1-1", "if-range": '"x"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_pages_by_prefix_in_key_order(client: httpx.Client) -> None:
    for n in (3, 1, 2):
        client.put(f"{OBJECTS}/page-{n}", content=b"x")
    first = client.get(OBJECTS, params={"prefix": "page-", "limit": 2}).json()
    assert [one["key"] for one in first["objects"]] == ["page-1", "page-2"]
    rest = client.get(OBJECTS, params={"prefix": "page-", "after": first["next"]}).json()
    assert [one["key"] for one in rest["objects"]] == ["page-3"]
    assert rest["next"] is None


def test_an_upload_by_somebody_else(client: httpx.Client) -> None:
    asked = {"key": "by/other", "content_type": "image/png", "size_max": 4, "expires_s": 60}
    made = client.post(f"{OBJECTS}/presign", json=asked).json()
    assert (made["method"], made["size_max"]) == ("PUT", 4)
    png = {"content-type": "image/png"}
    bare = httpx.Client(base_url=client.base_url)
    with bare:
        wrong = bare.put(made["path"], content=b"1234", headers={"content-type": "text/html"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "upload_refused")
        large = bare.put(made["path"], content=b"12345", headers=png)
        assert (large.status_code, large.json()["limit"]) == (413, "size_max")
        forged = bare.put(made["path"][:-1] + "_", content=b"1", headers=png)
        assert (forged.status_code, forged.json()["code"]) == (403, "upload_refused")
        put = bare.put(made["path"], content=b"1234", headers=png)
        assert (put.status_code, put.json()["key"]) == (200, "by/other")
    assert client.get(f"{OBJECTS}/by%2Fother").content == b"1234"
    described = client.put(f"{OBJECTS}/by%2Fother/metadata", json={"metadata": {"alt": "é"}})
    assert described.json()["metadata"] == {"alt": "é"}
    missing = client.put(f"{OBJECTS}/nothing/metadata", json={"metadata": 1})
    assert missing.json()["code"] == "object_not_found"


def test_a_key_may_be_called_presign(client: httpx.Client) -> None:
    assert client.put(f"{OBJECTS}/presign", content=b"p").status_code == 200
    assert client.get(f"{OBJECTS}/presign").content == b"p"
    assert client.delete(f"{OBJECTS}/presign").status_code == 204


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    address = f"{OBJECTS}/wrong"
    sums = client.put(address, content=b"x", headers={"x-object-sha256": "0" * 64})
    assert (sums.status_code, sums.json()["code"]) == (422, "checksum_mismatch")
    for headers in (
        {"x-object-sha256": "abc"},
        {"if-none-match": '"a"'},
        {"if-match": "a"},
        {"content-type": "text"},
    ):
        answer = client.put(address, content=b"x", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), headers
    assert client.get(f"{OBJECTS}?limt=1").json()["code"] == "invalid_request"
    assert client.post(f"{OBJECTS}/presign", json={"kee": 1}).json()["code"] == "invalid_request"
    assert client.post(f"{OBJECTS}/presign", content=b"{").json()["code"] == "invalid_json"
    assert client.get(f"{OBJECTS}/{'k' * 256}").json()["code"] == "invalid_id"
    away = client.get(address, headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")
