"""Health, metrics, pages for people, routes, the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventspine.api.catalogue import catalogue
from eventspine.contracts.settings import HttpSettings
from tests.api.serving import Serve, append, settings_of

pytestmark = pytest.mark.slow

ROUTE = {
    "resource_kind": "event_stream",
    "tenant_id": "t/1",
    "env": "dev",
    "mode": "lab",
    "backend_type": "memory",
}
ADDRESS = "/v1/routes/event_stream/t%2F1/dev/default/lab"


def test_health_and_readiness(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"alive": True}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)


def test_metrics_are_prometheus_and_hold_no_ids(client: httpx.Client) -> None:
    append(client, "measured-stream", "a")
    text = client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert "measured-stream" not in text
    assert "t_demo" not in text
    requests = families["eventspine_http_requests"].samples
    templates = {sample.labels["template"] for sample in requests}
    assert "/v1/streams/{stream_id}/events" in templates
    assert families["eventspine_store_events"].type == "counter"
    assert families["eventspine_readers"].type == "gauge"
    services = {
        sample.labels["name"] for sample in families["eventspine_services_restarts"].samples
    }
    assert "eventspine/backend memory:default/store" in services
    assert families["eventspine_cells_turn_hold_seconds"].type == "histogram"


def test_the_supervisor_tree_names_every_service(client: httpx.Client) -> None:
    tree = client.get("/v1/supervisor").json()
    backend = next(child for child in tree["children"] if child["name"] == "backend memory:default")
    assert backend["state"] == "running"
    services = [child["name"] for child in backend["below"]["children"]]
    assert services == ["store", "passivation", "journals", "heartbeats"]
    assert tree["budget_left"] == tree["intensity"]


def test_the_index_leads_on(client: httpx.Client) -> None:
    links = client.get("/").json()
    for name in ("docs", "errors", "openapi", "health", "ready", "metrics"):
        assert client.get(links[name]).status_code == 200, name
    assert "<a href" in client.get("/", headers={"accept": "text/html"}).text


def test_the_reference_page_needs_no_foreign_host(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "://" not in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "start.js", "start.css"):
        answer = client.get(f"/docs/assets/{asset}")
        assert answer.status_code == 200
        same = client.get(
            f"/docs/assets/{asset}", headers={"if-none-match": answer.headers["etag"]}
        )
        assert same.status_code == 304
    for name in ("nothing.js", "..%2F..%2Fapp.py", "%2Fetc%2Fpasswd"):
        assert client.get(f"/docs/assets/{name}").status_code == 404


def test_every_error_is_on_its_page(client: httpx.Client) -> None:
    page = client.get("/docs/errors").text
    for row in catalogue():
        assert f'id="{row.code}"' in page


def test_the_demo_is_off_unless_the_operator_says_so(client: httpx.Client, serve: Serve) -> None:
    assert client.get("/demo/").status_code == 404
    with serve(settings_of(http=HttpSettings(demo=True))).client() as own:
        moved = own.get("/demo?x=1")
        assert (moved.status_code, moved.headers["location"]) == (307, "/demo/?x=1")


# --- routes ---


def test_the_life_of_a_route(client: httpx.Client) -> None:
    created = client.post("/v1/routes", json=ROUTE, headers={"x-user-id": "ada"})
    assert created.status_code == 201
    assert created.headers["location"] == ADDRESS
    assert created.json()["updated_by"] == "ada"
    again = client.post("/v1/routes", json=ROUTE)
    assert (again.status_code, again.json()["code"]) == (409, "route_conflict")
    read = client.get(ADDRESS)
    assert read.json() == created.json()
    assert read.headers["etag"] == created.headers["etag"]
    change = {"backend_type": "memory", "config": {"name": "other"}}
    changed = client.put(ADDRESS, json=change, headers={"if-match": read.headers["etag"]})
    assert (changed.status_code, changed.json()["config"]) == (200, {"name": "other"})
    late = client.put(ADDRESS, json=change, headers={"if-match": read.headers["etag"]})
    assert (late.status_code, late.json()["code"]) == (409, "route_conflict")
    listed = client.get("/v1/routes", params={"tenant_id": "t/1"}).json()["routes"]
    assert listed == [changed.json()]
    query = {k: v for k, v in ROUTE.items() if k != "backend_type"}
    assert client.get("/v1/routes/resolve", params=query).json() == changed.json()
    assert client.delete(ADDRESS).status_code == 204
    assert client.get(ADDRESS).json()["code"] == "route_not_found"
    assert client.get("/v1/routes/resolve", params=query).json()["code"] == "no_route_configured"


def test_a_put_creates_what_is_not_there(client: httpx.Client) -> None:
    address = "/v1/routes/event_stream/t_put/dev/default/lab"
    assert client.put(address, json={"backend_type": "memory"}).status_code == 201
    assert client.put(address, json={"backend_type": "memory"}).status_code == 200
    differs = client.put(address, json={"backend_type": "memory", "env": "prod"})
    assert (differs.status_code, differs.json()["code"]) == (422, "invalid_route")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"backend_type": "tape"}, 422, "unsupported_backend"),
        ({"mode": "production"}, 422, "backend_refused_in_mode"),
        ({"resource_kind": "shoebox"}, 422, "invalid_route"),
        ({"tenant_id": ""}, 422, "invalid_id"),
        ({"config": {"nme": "x"}}, 422, "invalid_route"),
        ({"surprise": 1}, 422, "invalid_route"),
    ],
)
def test_a_route_that_could_not_serve_is_refused(
    client: httpx.Client, change: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post("/v1/routes", json={**ROUTE, **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# --- OpenAPI ---


def test_the_openapi_document_names_every_error(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    text = json.dumps(document)
    internal = {"internal", "not_found", "method_not_allowed", "headers_too_large", "deadlock"}
    internal |= {"registry_not_open"}
    internal |= {"too_many_connections", "root_locked", "root_invalid", "settings_invalid"}
    for row in catalogue():
        if row.code not in internal:
            assert f"`{row.code}`" in text, row.code
