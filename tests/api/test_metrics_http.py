"""The metrics store over HTTP: points, windows, Prometheus text, problems."""

from __future__ import annotations

import re
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.api.serving import Serve

T0 = "2026-01-01T00:00:00.000Z"
HOUR: dict[str, Any] = {"start": T0, "end": "2026-01-01T01:00:00Z"}


def test_one_point_and_several(client: httpx.Client) -> None:
    address = "/v1/metrics/one%2Fms"
    assert client.get(f"{address}/latest").json()["code"] == "metric_not_found"
    one = client.post(address, json={"value": 1.5, "tags": {"a": "b"}, "source": "s", "ts": T0})
    assert one.status_code == 201
    point = {"metric_name": "one/ms", "value": 1.5, "ts": T0, "tags": {"a": "b"}, "source": "s"}
    assert one.json() == {"points": [point]}
    many = client.post(address, json=[{"value": 2, "ts": 1767225660}, {"value": 3}])
    assert [one["value"] for one in many.json()["points"]] == [2, 3]
    assert many.json()["points"][0]["ts"] == "2026-01-01T00:01:00.000Z"
    assert [one["value"] for one in client.get(address).json()["points"]] == [1.5, 2, 3]
    assert client.get(f"{address}/latest").json() == many.json()["points"][1]
    assert client.get(f"{address}/latest", params={"tags": "a=b"}).json() == point
    assert client.get(address, params={"limit": 1, **HOUR}).json()["points"][0]["value"] == 2
    assert client.post(address, json=[]).json() == {"points": []}


def test_windows(client: httpx.Client) -> None:
    address = "/v1/metrics/windows"
    points = [
        {"value": n, "ts": f"2026-01-01T00:{n:02d}:30Z", "tags": {"m,=": "%"}} for n in range(60)
    ]
    assert client.post(address, json=points).status_code == 201
    params = {**HOUR, "step": 900, "agg": "sum"}
    found = client.get(f"{address}/aggregate", params=params).json()
    assert [window["value"] for window in found["windows"]] == [105, 330, 555, 780]
    assert {k: found[k] for k in ("tier", "step_s", "complete", "start", "aggregate")} == {
        "tier": "1m",
        "step_s": 900,
        "complete": True,
        "start": T0,
        "aggregate": "sum",
    }
    whole = {**params, "step": 3600, "agg": "p50", "tags": "m%2C%3D=%25"}
    found = client.get(f"{address}/aggregate", params=whole).json()
    assert [(window["value"], window["count"]) for window in found["windows"]] == [(29, 60)]
    none = {**params, "tags": "m=x", "fill": "zero"}
    found = client.get(f"{address}/aggregate", params=none).json()
    assert [window["value"] for window in found["windows"]] == [0] * 4
    assert len(client.get(f"{address}/aggregate", params=HOUR).json()["windows"]) == 240


def test_groups_and_fewer_points_for_a_chart(client: httpx.Client) -> None:
    address = "/v1/metrics/grouped"
    points = [{"value": n, "ts": n, "tags": {"a,b": str(n % 2)}} for n in range(600)]
    assert client.post(address, json=points).status_code == 201
    params: dict[str, Any] = {"start": 0, "end": 600, "step": 300, "agg": "sum"}
    params["group_by"] = "a%2Cb"
    found = client.get(f"{address}/aggregate", params=params).json()
    assert "windows" not in found
    assert [(one["tags"], [w["value"] for w in one["windows"]]) for one in found["groups"]] == [
        ({"a,b": "0"}, [22350, 67350]),
        ({"a,b": "1"}, [22500, 67500]),
    ]
    wrong = client.get(f"{address}/aggregate", params={**params, "group_by": "a,,b"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_id"), wrong.text
    chart = client.get(address, params={"downsample": 10}).json()["points"]
    assert [chart[0]["value"], chart[-1]["value"], len(chart)] == [0, 599, 10]
    assert client.get(address, params={"downsample": 2}).json()["code"] == "invalid_request"


def test_the_newest_values_as_prometheus_text(serve: Serve) -> None:
    with serve(metrics_exposed_max=3).client() as client:
        for name, value, tags in (
            ("lag.s", 1, {"region": "eu", "user": "1"}),
            ("lag.s", 2, {"region": "eu", "user": "2"}),
            ("lag.s", 3, {"region": 'a"\\\nb'[:3], "user": "3"}),
            ("9lives", 9, {"__x": "y"}),
        ):
            point = {"value": value, "tags": tags, "ts": value}  # two may come in one millisecond
            assert client.post(f"/v1/metrics/{name}", json=point).is_success
        answer = client.get("/v1/metrics/latest.prom", params={"labels": "region"})
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert samples(answer.text) == {
            ("_9lives", ()): 9,
            ("lag_s", (("region", 'a"\\'),)): 3,
            ("lag_s", (("region", "eu"),)): 2,
        }
        assert "left out" not in answer.text
        capped = client.get("/v1/metrics/latest.prom").text
        assert len(samples(capped)) == 3
        assert "# 1 series are left out: metrics_exposed_max is 3\n" in capped
        assert samples(client.get("/v1/metrics/latest.prom", params={"labels": ""}).text) == {
            ("_9lives", ()): 9,
            ("lag_s", ()): 3,
        }
        process = client.get("/metrics").text
        assert "eventspine_" in process
        assert "lag_s" not in process


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_wrong_is_said(client: httpx.Client) -> None:
    address = "/v1/metrics/wrong"
    for body, code in (
        (b"{", "invalid_json"),
        (b'{"value": NaN}', "invalid_json"),
        (b'{"value": 1e999}', "invalid_json|invalid_request"),
        (b'{"value": %b}' % (b"9" * 30), "invalid_request"),
        (b'{"value": %b}' % (b"9" * 5000), "invalid_json"),
        (b'{"value": "1"}', "invalid_request"),
        (b'{"value": true}', "invalid_request"),
        (b'{"value": null}', "invalid_request"),
        (b"{}", "invalid_request"),
        (b"1", "invalid_request"),
        (b'{"value": 1, "tag": {}}', "invalid_request"),
        (b'{"value": 1, "tags": {"a": 1}}', "invalid_request"),
        (b'{"value": 1, "tags": {"a": "\\n"}}', "invalid_id"),
        (b'{"value": 1, "ts": "now"}', "invalid_request"),
        (b'{"value": 1, "ts": 1e300}', "invalid_request"),
        (b'[{"value": 1}, {"value": 1, "source": ""}]', "invalid_id"),
        (b'{"value": 1, "tags": {"\xff": "a"}}', "invalid_json|invalid_request"),
    ):
        answer = client.post(address, content=body, headers={"content-type": "application/json"})
        assert re.fullmatch(code, answer.json()["code"]), (body[:50], answer.text)
    assert client.get(address).json() == {"points": []}, "nothing of it is there"
    for params in (
        {"agg": "median"},
        {"start": "x"},
        {"step": "0"},
        {"step": "x"},
        {"step": "9" * 12},
        {"tags": "a"},
        {"tier": "x"},
        {"fill": "x"},
        {"aggregate": "sum"},
        {"end": "1"},
        {"start": "2", "end": "1"},
    ):
        answer = client.get(f"{address}/aggregate", params=params)
        assert answer.status_code in (200, 400), (params, answer.text)
        assert (answer.status_code == 200) == (params == {"end": "1"}), params
    large = client.get(f"{address}/aggregate", params={"start": "0", "step": "1"}).json()
    assert (large["code"], large["limit"]) == ("too_large", "metrics_windows_max")
    assert client.delete(address).status_code == 405
    away = client.get(address, headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")
    assert "No route configured for metrics_store" in away.json()["detail"]


def test_a_scope_has_so_many_series_and_no_more(serve: Serve) -> None:
    with serve(metrics_series_max=2).client() as client:
        many = [{"value": n, "tags": {"user": str(n)}} for n in range(3)]
        refused = client.post("/v1/metrics/m", json=many)
        assert (refused.status_code, refused.json()["code"]) == (422, "too_many_series")
        assert (refused.json()["limit"], refused.json()["maximum"]) == ("metrics_series_max", 2)
        assert client.get("/v1/metrics/m").json() == {"points": []}
        assert client.post("/v1/metrics/m", json=many[:2]).status_code == 201
