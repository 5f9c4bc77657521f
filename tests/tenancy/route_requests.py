"""Random requests about routes, of the program's own scope."""

from __future__ import annotations

from typing import Any

from tests.tenancy.drawing import Draw, Generator, Request, as_json, escaped

KINDS = ("event_stream", "tabular_store", "budget_store")


def _key(draw: Draw) -> dict[str, str]:
    who = draw.who
    return {
        "resource_kind": draw.of(*KINDS),
        "tenant_id": who.tenant_id,
        "env": who.env,
        "project_id": who.project_id,
        "mode": "lab",
    }


def _key_path(draw: Draw) -> str:
    return "/v1/routes/" + "/".join(escaped(part) for part in _key(draw).values())


def _change(draw: Draw) -> dict[str, Any]:
    return {"backend_type": "memory", "reason": draw.who.mark}


def _own(draw: Draw) -> str:
    return f"/v1/tenant/routes/{draw.of(*KINDS)}"


_OWN: dict[str, Generator] = {
    "listTenantRoutes": lambda d: Request("listTenantRoutes", "GET", "/v1/tenant/routes"),
    "getTenantRoute": lambda d: Request("getTenantRoute", "GET", _own(d)),
    "chooseTenantRoute": lambda d: Request(
        "chooseTenantRoute", "PUT", _own(d), **as_json({"backend": "memory"})
    ),
    "giveTenantRouteBack": lambda d: Request("giveTenantRouteBack", "DELETE", _own(d)),
}


def _switch(name: str, method: str, how: str) -> Generator:
    def request(draw: Draw) -> Request:
        sent = as_json({"backend_type": "memory"}) if name == "startSwitch" else {}
        return Request(name, method, f"{_key_path(draw)}/switch{how}", **sent)

    return request


_SWITCH: dict[str, Generator] = {
    "getSwitch": _switch("getSwitch", "GET", ""),
    "startSwitch": _switch("startSwitch", "POST", ""),
    "runSwitch": _switch("runSwitch", "POST", "/run"),
    "verifySwitch": _switch("verifySwitch", "POST", "/verify"),
    "takeSwitch": _switch("takeSwitch", "POST", "/switch"),
    "reverseSwitch": _switch("reverseSwitch", "POST", "/reverse"),
    "finishSwitch": _switch("finishSwitch", "POST", "/finish"),
    "cancelSwitch": _switch("cancelSwitch", "POST", "/cancel"),
}
ROUTES: dict[str, Generator] = {
    "listRoutes": lambda d: Request("listRoutes", "GET", "/v1/routes", _key(d)),
    "createRoute": lambda d: Request(
        "createRoute", "POST", "/v1/routes", d.some(dry_run=1), **as_json(_key(d) | _change(d))
    ),
    "resolveRoute": lambda d: Request("resolveRoute", "GET", "/v1/routes/resolve", _key(d)),
    "getRoute": lambda d: Request("getRoute", "GET", _key_path(d)),
    "putRoute": lambda d: Request("putRoute", "PUT", _key_path(d), **as_json(_change(d))),
    "deleteRoute": lambda d: Request("deleteRoute", "DELETE", _key_path(d)),
    "explainRoute": lambda d: Request("explainRoute", "GET", "/v1/routes/explain", _key(d)),
    "routeHistory": lambda d: Request("routeHistory", "GET", "/v1/routes/history", _key(d)),
    **_OWN,
    **_SWITCH,
}
