"""Budgets over HTTP: limits, spends, the ledger, policies, problems."""

from __future__ import annotations

import httpx
import pytest

from tests.api.serving import LAB

HELD = "/v1/budget/reservations"
SYSTEM = {"tenant_id": "t_system", "env": "dev", "mode": "lab", "backend_type": "memory"}


def balance(client: httpx.Client, account: str, **more: str) -> dict[str, object]:
    answer = client.get("/v1/budget/balance", params={"account": account, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_the_life_of_a_reservation(client: httpx.Client) -> None:
    limit = {"account": "life", "window": "month", "amount": 100, "soft": 30}
    made = client.put("/v1/budget/limits", json=limit).json()
    assert made == {**limit, "unit": "usd", "thresholds": [50, 80, 100], "at": made["at"]}
    assert client.get("/v1/budget/limits?account=life").json() == {
        "limits": [{**made, "source": "ledger"}]
    }
    body = {"id": "life/1", "accounts": "life/web/ann", "amount": 40, "timeout_s": 60}
    held = client.post(HELD, json=body)
    assert held.status_code == 200
    assert held.json()["pending"] == 40
    assert [one["threshold"] for one in held.json()["crossed"]] == ["soft"]
    assert client.post(HELD, json=body).json() == held.json()
    assert client.post(HELD, json={**body, "amount": 41}).status_code == 409
    assert client.post(HELD, json={**body, "amount": 41}).json()["code"] == "budget_conflict"
    done = client.post(f"{HELD}/life%2F1/commit", json={"amount": 25})
    assert (done.json()["posted"], done.json()["pending"]) == (25, -40)
    ended = client.post(f"{HELD}/life%2F1/release")
    assert (ended.status_code, ended.json()["code"]) == (409, "reservation_ended")
    assert ended.json()["state"] == "committed"
    missing = client.post(f"{HELD}/nobody/commit", json={})
    assert (missing.status_code, missing.json()["code"]) == (404, "reservation_not_found")
    found = balance(client, "life", window="month")
    assert (found["posted"], found["pending"], found["available"]) == (25, 0, 75)


def test_what_is_too_much_is_402_and_says_where(client: httpx.Client) -> None:
    limit = {"account": "much", "window": "total", "amount": 10, "unit": "tokens"}
    client.put("/v1/budget/limits", json=limit)
    spend = {"id": "much-1", "accounts": ["much/a", "other"], "amount": 8, "unit": "tokens"}
    assert client.post("/v1/budget/records", json=spend).status_code == 200
    refused = client.post("/v1/budget/records", json={**spend, "id": "much-2", "amount": 3})
    assert refused.status_code == 402
    problem = refused.json()
    assert problem["code"] == "budget_exceeded"
    named = {name: problem[name] for name in ("limit", "window", "account", "available", "unit")}
    assert named == {
        "limit": 10,
        "window": "total",
        "account": "much",
        "available": 2,
        "unit": "tokens",
    }
    lower = {**spend, "id": "much-3", "amount": -8, "reason": "refunded"}
    assert client.post("/v1/budget/adjustments", json=lower).json()["posted"] == -8
    assert balance(client, "much", unit="tokens")["available"] == 10


def test_the_ledger_is_read_in_pages(client: httpx.Client) -> None:
    for n in range(3):
        body = {"id": f"page-{n}", "accounts": f"pages/{n}", "amount": n + 1}
        client.post("/v1/budget/records", json=body)
    params: dict[str, str | int] = {"account": "pages", "limit": 2}
    first = client.get("/v1/budget/entries", params=params).json()
    assert [entry["posted"] for entry in first["entries"]] == [1, 2]
    rest = client.get("/v1/budget/entries", params={**params, "after": first["next"]}).json()
    assert [entry["posted"] for entry in rest["entries"]] == [3]
    assert rest["next"] is None
    everything = client.get("/v1/budget/entries").json()["entries"]
    assert [entry["sequence"] for entry in everything] == sorted(
        {entry["sequence"] for entry in everything}
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"{}", "invalid_request"),
        (b'{"id":"w","accounts":"w","amount":1.0}', "invalid_request"),
        (b'{"id":"w","accounts":"w","amount":"1"}', "invalid_request"),
        (b'{"id":"w","accounts":"w","amount":0}', "invalid_request"),
        (b'{"id":"w","accounts":"w","amount":9007199254740992}', "invalid_request"),
        (b'{"id":"w","accounts":[],"amount":1}', "invalid_request"),
        (b'{"id":"w","accounts":"w//x","amount":1}', "invalid_id"),
        (b'{"id":"w\\n","accounts":"w","amount":1}', "invalid_id"),
        (b'{"id":"w","accounts":"w","amount":1,"cost":1}', "invalid_request"),
    ],
)
def test_what_is_wrong_is_said(client: httpx.Client, body: bytes, code: str) -> None:
    sent = {"content-type": "application/json"}
    assert client.post("/v1/budget/records", content=body, headers=sent).json()["code"] == code
    assert balance(client, "w")["posted"] == 0


def test_wrong_questions(client: httpx.Client) -> None:
    assert client.get("/v1/budget/balance").json()["code"] == "invalid_request"
    assert client.get("/v1/budget/balance?account=a&window=year").status_code == 400
    assert client.get("/v1/budget/entries?after=-1").status_code == 400
    away = client.get("/v1/budget/balance?account=a", headers={"x-tenant-id": "t_away"})
    assert (away.status_code, away.json()["code"]) == (404, "no_route_configured")


def test_policies_of_the_system_tenant(client: httpx.Client) -> None:
    address = "/v1/budget/policies/p%2F1"
    missing = client.get(address)
    assert (missing.status_code, missing.json()["code"]) == (404, "no_route_configured")
    assert missing.json()["detail"] == "No route configured for tabular_store"
    assert client.put(address, json={}).json()["detail"] == missing.json()["detail"]
    route = {
        **LAB.model_dump(),
        "tenant_id": "t_system",
        "resource_kind": "tabular_store",
        "backend_type": "memory",
    }
    assert client.post("/v1/routes", json=route).status_code == 201
    assert client.get(address).json()["code"] == "row_not_found"
    made = client.put(address, json={"limit": 5}, headers={"if-none-match": "*"})
    assert (made.status_code, made.json()["data"]) == (200, {"limit": 5})
    assert client.get(address).json() == made.json()
    assert client.put(address, json={}, headers={"if-none-match": "*"}).status_code == 412
    changed = client.put(address, json=[], headers={"if-match": made.headers["etag"]})
    assert changed.status_code == 200
    listed = client.get("/v1/budget/policies?prefix=p").json()
    assert listed == {"policies": [changed.json()], "next": None}
    assert client.put(address, json=1, headers={"if-match": '"x"'}).status_code == 400
    both = {"if-match": '"1"', "if-none-match": "*"}
    assert client.put(address, json=1, headers=both).status_code == 412
    assert client.delete(address).status_code == 204
    assert client.delete(address).status_code == 404


def test_a_policy_limits_and_is_named(client: httpx.Client) -> None:
    address, route = "/v1/budget/policies/held", {"resource_kind": "tabular_store", **SYSTEM}
    client.post("/v1/routes", json=route)
    wrong = client.put(address, json={"account": "held", "window": "month", "most": 1})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_request")
    policy = {"account": "held", "window": "month", "amount": 5}
    assert client.put(address, json=policy).status_code == 200
    refused = client.post("/v1/budget/records", json={"id": "h", "accounts": "held/a", "amount": 6})
    assert refused.status_code == 402
    said = refused.json()
    assert (said["source"], said["policy_id"], said["limit"]) == ("policy", "held", 5)
    found = balance(client, "held", window="month")
    assert (found["limit"], found["available"]) == (5, 5)
    (limit,) = client.get("/v1/budget/limits?account=held").json()["limits"]
    assert found["limits"] == [limit]
    assert (limit["source"], limit["policy_id"], limit["amount"]) == ("policy", "held", 5)
    assert client.delete(address).status_code == 204
    spent = client.post("/v1/budget/records", json={"id": "h", "accounts": "held/a", "amount": 6})
    assert spent.status_code == 200
