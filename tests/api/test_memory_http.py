"""Session memory over HTTP: entries, versions as ETags, times to live, counters, problems."""

from __future__ import annotations

import httpx
import pytest

from tests.api.serving import Serve

ENTRIES = "/v1/memory/session/entries"


def test_the_life_of_an_entry(client: httpx.Client) -> None:
    address = f"{ENTRIES}/life%2F1"
    assert client.get(address).json()["code"] == "entry_not_found"
    made = client.put(
        address, json={"cart": []}, params={"ttl_s": 3600}, headers={"if-none-match": "*"}
    )
    assert (made.status_code, made.json()["key"]) == (200, "life/1")
    assert made.json()["expires_at"] > made.json()["updated_at"]
    read = client.get(address)
    assert read.json() == made.json()
    assert read.headers["etag"] == f'"{made.json()["version"]}"'
    again = client.put(address, json=1, headers={"if-none-match": "*"})
    assert (again.status_code, again.json()["code"]) == (412, "precondition_failed")
    assert 3500 < client.get(f"{address}/ttl").json()["ttl_s"] <= 3600
    touched = client.post(f"{address}/touch", params={"ttl_s": 7200})
    assert touched.headers["etag"] == read.headers["etag"]
    assert client.get(f"{address}/ttl").json()["ttl_s"] > 7000
    changed = client.put(address, json=[1], headers={"if-match": read.headers["etag"]})
    assert "expires_at" not in changed.json()
    assert client.get(f"{address}/ttl").json() == {"ttl_s": None}
    assert client.delete(address, headers={"if-match": read.headers["etag"]}).status_code == 412
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 404


def test_a_sliding_entry_says_so(client: httpx.Client) -> None:
    made = client.put(f"{ENTRIES}/slides?slide_s=60", json=1).json()
    assert made["slide_s"] == 60
    assert client.get(f"{ENTRIES}/slides").json()["expires_at"] >= made["expires_at"]
    first = client.put(f"{ENTRIES}/slides?slide_s=60&ttl_s=600", json=1).json()
    assert client.get(f"{ENTRIES}/slides").json() == first, "it has longer than that left"


def test_counters(client: httpx.Client) -> None:
    address = f"{ENTRIES}/count/incr"
    assert client.post(address).json()["value"] == 1
    assert client.post(address, params={"by": 41, "ttl_s": 60}).json()["value"] == 42
    assert client.post(address, params={"by": -50}).json()["value"] == -8
    client.put(f"{ENTRIES}/text", json="1")
    refused = client.post(f"{ENTRIES}/text/incr")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_an_integer")
    for by in ("1.5", "x", "", str(2**63)):
        assert client.post(address, params={"by": by}).json()["code"] == "invalid_request", by


def test_pages_by_prefix_in_key_order(client: httpx.Client) -> None:
    for n in (3, 1, 2):
        client.put(f"{ENTRIES}/page-{n}", json=n)
    first = client.get(ENTRIES, params={"prefix": "page-", "limit": 2}).json()
    assert [entry["value"] for entry in first["entries"]] == [1, 2]
    rest = client.get(ENTRIES, params={"prefix": "page-", "after": first["next"]}).json()
    assert [entry["value"] for entry in rest["entries"]] == [3]
    assert rest["next"] is None


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    one = f"{ENTRIES}/x"
    for query in ("ttl_s=0", "ttl_s=x", "slide_s=0", "sliding=true", "tl_s=1"):
        assert client.put(f"{one}?{query}", json=1).json()["code"] == "invalid_request", query
    assert client.put(one, content=b"{").json()["code"] == "invalid_json"
    assert client.put(one, json=1, headers={"if-match": '"a"'}).status_code == 400
    both = {"if-match": '"1"', "if-none-match": "*"}
    assert client.put(one, json=1, headers=both).json()["code"] == "precondition_failed"
    assert client.put(one, content=b"1", headers={"content-type": "text/plain"}).status_code == 415
    for address in (one, f"{one}/ttl"):
        assert client.get(address).json()["code"] == "entry_not_found"
    assert client.post(f"{one}/touch?ttl_s=1").json()["code"] == "entry_not_found"
    away = client.get(one, headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")
    long = client.get(f"/v1/memory/{'x' * 250}/entries")
    assert (long.status_code, long.json()["code"]) == (422, "invalid_id")


@pytest.mark.parametrize("namespace", ["session", "a%2Fb"])
def test_a_sweep_answers_what_has_expired(client: httpx.Client, namespace: str) -> None:
    swept = client.post(f"/v1/memory/{namespace}/sweep")
    assert (swept.status_code, swept.json()) == (200, {"expired": []})


def test_a_full_namespace_is_507(serve: Serve) -> None:
    with serve(memory_entries_max=1).client() as client:
        assert client.put(f"{ENTRIES}/a", json=1).status_code == 200
        full = client.put(f"{ENTRIES}/b", json=1)
        assert (full.status_code, full.json()["code"]) == (507, "memory_full")
        assert (full.json()["limit"], full.json()["maximum"]) == ("memory_entries_max", 1)
        assert client.put(f"{ENTRIES}/a", json=2).status_code == 200
