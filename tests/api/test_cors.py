from __future__ import annotations

import httpx
import pytest

from eventspine.api.context import HEADERS
from eventspine.api.cors import Cors

pytestmark = pytest.mark.slow
BOTH_WAYS = True

OURS, OTHER = "https://app.example", "https://evil.example"


def preflight(client: httpx.Client, origin: str) -> httpx.Response:
    return client.options(
        "/v1/streams/a/events",
        headers={"origin": origin, "access-control-request-method": "POST"},
    )


def test_a_preflight_of_a_named_origin_allows_what_pages_need(client: httpx.Client) -> None:
    answer = preflight(client, OURS)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == OURS
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"last-event-id", "authorization", "if-match", "idempotency-key", "prefer"} <= set(
        allowed
    )
    assert {name.decode() for name in HEADERS.values()} <= set(allowed)
    assert int(answer.headers["access-control-max-age"]) > 0
    assert "DELETE" in answer.headers["access-control-allow-methods"]


def test_another_origin_is_allowed_nothing(client: httpx.Client) -> None:
    answer = preflight(client, OTHER)
    assert "access-control-allow-origin" not in answer.headers
    page = client.get("/v1/streams/a/events", headers={"origin": OTHER})
    assert "access-control-allow-origin" not in page.headers
    assert page.headers["cross-origin-resource-policy"] == "same-origin"
    assert "origin" in page.headers["vary"]


def test_answers_and_refusals_alike_can_be_read_by_a_named_origin(client: httpx.Client) -> None:
    for address in ("/v1/streams/a/events", "/v1/streams/a/events?limit=0", "/nowhere"):
        answer = client.get(address, headers={"origin": OURS})
        assert answer.headers["access-control-allow-origin"] == OURS
        assert "etag" in answer.headers["access-control-expose-headers"].lower()
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_every_answer_is_not_to_be_sniffed(client: httpx.Client) -> None:
    for address in ("/healthz", "/nowhere", "/docs"):
        answer = client.get(address)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_star_is_every_origin() -> None:
    assert Cors(["*"]).allowed(b"https://x") == b"*"
    assert Cors([]).allowed(b"https://x") is None


def test_a_page_of_another_site_changes_nothing(client: httpx.Client) -> None:
    event = {"event_type": "x", "payload": {}}
    for origin, status in ((OTHER, 403), ("null", 403), (OURS, 201)):
        answer = client.post("/v1/streams/csrf/events", json=event, headers={"origin": origin})
        assert answer.status_code == status, origin
    own = f"http://{client.base_url.netloc.decode()}"
    answer = client.post("/v1/streams/csrf/events", json=event, headers={"origin": own})
    assert answer.status_code == 201
    assert len(client.get("/v1/streams/csrf/events").json()["events"]) == 2
