"""Tables over HTTP: rows, versions as ETags, pages, batches, problems."""

from __future__ import annotations

import httpx

ROWS = "/v1/tables/policies/rows"


def test_the_life_of_a_row(client: httpx.Client) -> None:
    address = f"{ROWS}/life%2F1"
    assert client.get(address).json()["code"] == "row_not_found"
    made = client.put(address, json={"limit": 5}, headers={"if-none-match": "*"})
    assert made.status_code == 200
    assert made.json()["key"] == "life/1"
    assert made.json()["data"] == {"limit": 5}
    again = client.put(address, json={}, headers={"if-none-match": "*"})
    assert (again.status_code, again.json()["code"]) == (412, "precondition_failed")
    read = client.get(address)
    assert read.json() == made.json()
    assert read.headers["etag"] == made.headers["etag"] == f'"{made.json()["version"]}"'
    changed = client.put(address, json=[1], headers={"if-match": read.headers["etag"]})
    assert changed.json()["data"] == [1]
    late = client.put(address, json=[2], headers={"if-match": read.headers["etag"]})
    assert late.status_code == 412
    assert late.json()["current"] == str(changed.json()["version"])
    assert client.delete(address, headers={"if-match": read.headers["etag"]}).status_code == 412
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 404


def test_pages_by_prefix_in_key_order(client: httpx.Client) -> None:
    for n in (3, 1, 2):
        client.put(f"{ROWS}/page-{n}", json=n)
    client.put(f"{ROWS}/other", json=0)
    first = client.get(ROWS, params={"prefix": "page-", "limit": 2}).json()
    assert [row["data"] for row in first["rows"]] == [1, 2]
    rest = client.get(ROWS, params={"prefix": "page-", "after": first["next"]}).json()
    assert [row["data"] for row in rest["rows"]] == [3]
    assert rest["next"] is None


def test_a_batch_is_all_or_nothing(client: httpx.Client) -> None:
    batch = "/v1/tables/batches/batch"
    operations = [{"key": "a", "data": 1}, {"key": "b", "data": 2, "if_version": 0}]
    done = client.post(batch, json={"operations": operations})
    assert [row["data"] for row in done.json()["rows"]] == [1, 2]
    refused = client.post(
        batch,
        json={
            "operations": [{"key": "a", "delete": True}, {"key": "b", "data": 3, "if_version": 9}]
        },
    )
    assert (refused.status_code, refused.json()["operation"]) == (412, 1)
    assert client.get("/v1/tables/batches/rows/a").json()["data"] == 1
    done = client.post(batch, json={"operations": [{"key": "a", "delete": True}]})
    assert done.json() == {"rows": [None]}
    for wrong in (
        {},
        {"operations": 1},
        {"operations": [{"key": "a"}]},
        {"operations": [{"data": 1}]},
    ):
        assert client.post(batch, json=wrong).json()["code"] == "invalid_request", wrong


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    assert client.put(f"{ROWS}/x", content=b"{").json()["code"] == "invalid_json"
    assert client.put(f"{ROWS}/x", content=b"NaN").json()["code"] == "invalid_json"
    assert client.put(f"{ROWS}/x?ttl_s=0", json=1).json()["code"] == "invalid_request"
    assert client.put(f"{ROWS}/x", json=1, headers={"if-match": '"a"'}).status_code == 400
    assert client.get(f"{ROWS}?limt=1").json()["code"] == "invalid_request"
    assert (
        client.put(f"{ROWS}/x", content=b"1", headers={"content-type": "text/plain"}).status_code
        == 415
    )
    away = client.get(f"{ROWS}/x", headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")
    assert "No route configured for tabular_store" in away.json()["detail"]


def test_a_row_expires(client: httpx.Client) -> None:
    made = client.put(f"{ROWS}/short?ttl_s=3600", json=1)
    assert made.json()["expires_at"] > made.json()["updated_at"]
