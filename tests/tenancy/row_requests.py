"""Random requests about rows: of tables, of policies, and entries of the memory."""

from __future__ import annotations

from typing import Any

from tests.tenancy.drawing import (
    NAMES,
    Draw,
    Generator,
    Request,
    as_json,
    escaped,
    json_with,
    rows_of,
)


def _row(draw: Draw, name: str, method: str, path: str) -> Request:
    if method == "GET":
        return Request(name, method, path)
    if method == "DELETE":
        headers = draw.of({}, {"if-match": '"1"'})
        return Request(name, method, path, headers=headers)
    value = _limit(draw) if name == "putBudgetPolicy" else draw.value()
    return Request(name, method, path, **json_with(value, draw.version()))


def _limit(draw: Draw) -> Any:
    """A policy for the program's own tenant, or a document that limits nothing."""
    limit = {"account": "a", "window": "total", "amount": draw.of(0, 50, 1000)}
    return draw.of({**limit, "tenant_id": draw.who.tenant_id}, draw.value())


def _batch(draw: Draw) -> Request:
    operations = [
        {"key": key, "delete": True} if draw.rng.random() < 0.3 else _put(draw, key)
        for key in draw.rng.sample(NAMES, draw.of(1, 2, 4))
    ]
    path = f"/v1/tables/{escaped(draw.of(*NAMES[:5]))}/batch"
    return Request("writeRows", "POST", path, **as_json({"operations": operations}))


def _put(draw: Draw, key: str) -> dict[str, Any]:
    return {"key": key, "data": draw.value(), "if_version": draw.of(None, None, None, 0, 1)}


def _table(draw: Draw, *, key: bool = True) -> str:
    rows = f"/v1/tables/{escaped(draw.of(*NAMES[:5]))}/rows"
    return f"{rows}/{escaped(draw.name())}" if key else rows


def _policy(draw: Draw) -> str:
    return f"/v1/budget/policies/{escaped(draw.name())}"


def _memory(draw: Draw, rest: str = "", *, key: bool = True) -> str:
    space = f"/v1/memory/{escaped(draw.of(*NAMES[:5]))}/entries"
    return f"{space}/{escaped(draw.name())}{rest}" if key else space


def _set_entry(draw: Draw) -> Request:
    params = draw.of({}, {}, {"ttl_s": "5000"}, {"slide_s": "7000"})
    value = draw.of(draw.value(), draw.rng.randrange(9))
    return Request(
        "setEntry", "PUT", _memory(draw), params=params, **json_with(value, draw.version())
    )


ROWS: dict[str, Generator] = {
    "listRows": lambda d: rows_of(d, "listRows", _table(d, key=False)),
    "getRow": lambda d: _row(d, "getRow", "GET", _table(d)),
    "putRow": lambda d: _row(d, "putRow", "PUT", _table(d)),
    "deleteRow": lambda d: _row(d, "deleteRow", "DELETE", _table(d)),
    "writeRows": _batch,
    "listBudgetPolicies": lambda d: rows_of(d, "listBudgetPolicies", "/v1/budget/policies"),
    "getBudgetPolicy": lambda d: _row(d, "getBudgetPolicy", "GET", _policy(d)),
    "putBudgetPolicy": lambda d: _row(d, "putBudgetPolicy", "PUT", _policy(d)),
    "deleteBudgetPolicy": lambda d: _row(d, "deleteBudgetPolicy", "DELETE", _policy(d)),
    "listEntries": lambda d: rows_of(d, "listEntries", _memory(d, key=False)),
    "getEntry": lambda d: _row(d, "getEntry", "GET", _memory(d)),
    "setEntry": _set_entry,
    "deleteEntry": lambda d: _row(d, "deleteEntry", "DELETE", _memory(d)),
    "getEntryTtl": lambda d: Request("getEntryTtl", "GET", _memory(d, "/ttl")),
    "touchEntry": lambda d: Request(
        "touchEntry", "POST", _memory(d, "/touch"), d.some(ttl_s=d.of(4000, 8000))
    ),
    "incrementEntry": lambda d: Request(
        "incrementEntry", "POST", _memory(d, "/incr"), d.some(by=d.of(1, 5, -3))
    ),
    "sweepMemory": lambda d: Request(
        "sweepMemory", "POST", f"/v1/memory/{escaped(d.of(*NAMES[:5]))}/sweep"
    ),
}
