"""Vectors over HTTP: collections, points, search, problems."""

from __future__ import annotations

from typing import Any

import httpx

AT = "/v1/vectors"


def test_the_life_of_a_collection(client: httpx.Client) -> None:
    at = f"{AT}/life%2F1"
    assert client.get(at).json()["code"] == "collection_not_found"
    made = client.put(at, json={"dimensions": 2, "metric": "l2"})
    assert made.status_code == 200
    assert client.put(at, json={"dimensions": 2, "metric": "l2"}).json() == made.json()
    other = client.put(at, json={"dimensions": 3})
    assert (other.status_code, other.json()["code"]) == (409, "collection_conflict")
    one = client.put(f"{at}/points/a%2F1", json={"vector": [0.5, 2], "metadata": {"big": 1.10}})
    assert one.status_code == 200
    assert one.json()["id"] == "a/1"
    read = client.get(f"{at}/points/a%2F1")
    assert read.json() == {**one.json(), "vector": [0.5, 2]}
    assert b'"big":1.1' in read.content
    assert client.get(at).json() == {**made.json(), "count": 1}
    assert client.delete(f"{at}/points/a%2F1").status_code == 204
    gone = client.delete(f"{at}/points/a%2F1")
    assert (gone.status_code, gone.json()["code"]) == (404, "vector_not_found")
    assert client.get(f"{at}/points/a%2F1").json()["code"] == "vector_not_found"
    assert client.delete(at).status_code == 204
    assert client.delete(at).json()["code"] == "collection_not_found"


def test_search_with_a_filter(client: httpx.Client) -> None:
    at = f"{AT}/search"
    client.put(at, json={"dimensions": 2})
    points = [
        {"id": f"{n}", "vector": [1, n], "metadata": {"even": n % 2 == 0, "n": n}}
        for n in range(10)
    ]
    batch = client.post(f"{at}/points", json={"points": points})
    assert [point["id"] for point in batch.json()["points"]] == [f"{n}" for n in range(10)]
    assert len({point["version"] for point in batch.json()["points"]}) == 10

    def found(**asked: object) -> list[str]:
        answer = client.post(f"{at}/search", json={"vector": [1, 0], **asked})
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["results"]]

    assert found() == [f"{n}" for n in range(10)]
    assert found(k=3) == ["0", "1", "2"]
    assert found(k=3, filter={"even": False}) == ["1", "3", "5"]
    assert found(filter={"even": True, "n": {"gt": 2, "lte": 6}}) == ["4", "6"]
    assert found(filter={"n": {"in": [9, 7]}}) == ["7", "9"]
    (first,) = client.post(f"{at}/search", json={"vector": [2, 0], "k": 1}).json()["results"]
    assert first.keys() == {"id", "distance", "metadata", "version", "updated_at"}
    assert (first["distance"], first["metadata"]) == (0, {"even": True, "n": 0})


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    at = f"{AT}/wrong"
    client.put(at, json={"dimensions": 2})
    point = f"{at}/points/a"
    body: Any
    for body in ({"vector": [1]}, {"vector": [1, 2, 3]}, {"vector": [0, 0]}, {"vector": [1, 1e30]}):
        answer = client.put(point, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_vector"), body
        assert client.post(f"{at}/search", json=body).json()["code"] == "invalid_vector"
    for body in ({}, {"vector": "x"}, {"vector": [1, "2"]}, {"vector": [1, 2], "metadata": [1]}):
        assert client.put(point, json=body).json()["code"] == "invalid_request", body
    for raw in (b"{", b'{"vector": [NaN, 1]}', b"\xff"):
        assert client.put(point, content=raw).json()["code"] == "invalid_json", raw
    for more in ({"k": 0}, {"filter": {"a": {"like": 1}}}, {"filter": [1]}, {"sql": "1"}):
        answer = client.post(f"{at}/search", json={"vector": [1, 2], **more})
        assert answer.json()["code"] == "invalid_request", more
    for body in (
        {"dimensions": 0},
        {"dimensions": 2, "metric": "x"},
        {},
        {"dimensions": "2"},
        {"dimensions": 1.5},
    ):
        assert client.put(f"{AT}/new", json=body).json()["code"] == "invalid_request", body
    large = client.put(f"{AT}/new", json={"dimensions": 5000})
    assert (large.status_code, large.json()["limit"]) == (413, "vector_dimensions_max")
    many = client.post(f"{at}/search", json={"vector": [1, 2], "k": 1001})
    assert (many.status_code, many.json()["limit"]) == (413, "vector_results_max")
    text = client.put(point, content=b"{}", headers={"content-type": "text/plain"})
    assert text.status_code == 415
    assert client.get(f"{at}?x=1").json()["code"] == "invalid_request"
    away = client.get(at, headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")
    assert client.get(at).json()["count"] == 0


def test_an_index_that_is_not_needed_is_none(client: httpx.Client) -> None:
    at = "/v1/vectors/unneeded"
    client.put(at, json={"dimensions": 2})
    client.put(f"{at}/points/a", json={"vector": [1, 0]})
    answer = client.post(f"{at}/search", json={"vector": [1, 0], "exact": True}).json()
    assert (answer["engine"], answer["exact"], len(answer["results"])) == ("numpy", True, 1)
    status = client.get(f"{at}/index").json()
    assert (status["state"], status["behind"], status["engine"]) == ("none", 1, "usearch")
    assert client.delete(f"{at}/index").status_code == 204
    assert client.get("/v1/vectors/nothing/index").json()["code"] == "collection_not_found"
    assert client.delete("/v1/vectors/nothing/index").status_code == 404
