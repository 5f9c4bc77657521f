"""Random requests about budgets: limits, spends, the ledger."""

from __future__ import annotations

from typing import Any

from tests.tenancy.drawing import Draw, Generator, Request, as_json

ACCOUNTS = ("a", "A", "a/b", "a/b/c", "..", "%2e", "ä", "~/_")
UNITS = ("usd", "tokens")


def _limit(draw: Draw) -> Request:
    body = {
        "account": draw.of(*ACCOUNTS),
        "window": draw.of("total", "month"),
        "unit": draw.of(*UNITS),
        "amount": draw.of(None, 0, 50, 1000),
        "soft": draw.of(None, 10),
    }
    return Request("setBudgetLimit", "PUT", "/v1/budget/limits", **as_json(body))


def _spend(draw: Draw, name: str, path: str, **more: Any) -> Request:
    body = {
        "id": f"s{draw.rng.randrange(12)}",
        "accounts": draw.rng.sample(ACCOUNTS, draw.of(1, 1, 2)),
        "amount": draw.of(1, 7, 40),
        "unit": draw.of(*UNITS),
        **more,
    }
    return Request(name, "POST", path, **as_json(body))


def _held(draw: Draw, name: str, how: str, body: Any) -> Request:
    path = f"/v1/budget/reservations/s{draw.rng.randrange(12)}/{how}"
    return Request(name, "POST", path, **({} if body is None else as_json(body)))


BUDGET: dict[str, Generator] = {
    "setBudgetLimit": _limit,
    "listBudgetLimits": lambda d: Request(
        "listBudgetLimits", "GET", "/v1/budget/limits", d.some(account=d.of(*ACCOUNTS))
    ),
    "reserveBudget": lambda d: _spend(
        d, "reserveBudget", "/v1/budget/reservations", timeout_s=5000
    ),
    "commitBudget": lambda d: _held(d, "commitBudget", "commit", d.of({}, {"amount": 1})),
    "releaseBudget": lambda d: _held(d, "releaseBudget", "release", None),
    "recordBudget": lambda d: _spend(d, "recordBudget", "/v1/budget/records"),
    "adjustBudget": lambda d: _spend(
        d, "adjustBudget", "/v1/budget/adjustments", amount=d.of(-5, 3), reason=d.who.mark
    ),
    "getBudgetBalance": lambda d: Request(
        "getBudgetBalance",
        "GET",
        "/v1/budget/balance",
        {"account": d.of(*ACCOUNTS), "window": d.of("total", "month"), "unit": d.of(*UNITS)},
    ),
    "listBudgetEntries": lambda d: Request(
        "listBudgetEntries",
        "GET",
        "/v1/budget/entries",
        d.some(account=d.of(*ACCOUNTS), after=d.rng.randrange(9), limit=d.of(1, 5)),
    ),
}
