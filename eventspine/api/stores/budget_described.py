"""The endpoints of budgets, as /openapi.json describes them."""

from __future__ import annotations

from typing import Any

from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.parameters import ACCOUNT, id_schema
from eventspine.contracts.budget import (
    ACCOUNTS_MAX,
    AMOUNT_MAX,
    PERCENT_MAX,
    THRESHOLDS,
    TIMEOUT_S_MAX,
    UNIT,
    WINDOWS,
)
from eventspine.services.budget import REASON_CHARS_MAX, TIMEOUT_S

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_WINDOW: Schema = {"type": "string", "enum": list(WINDOWS)}
_UNIT: Schema = {**id_schema(), "default": UNIT}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _amount(least: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": AMOUNT_MAX}


def _body(required: list[str], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _spend(amount: Schema, required: tuple[str, ...] = (), **more: Schema) -> Schema:
    several = {"type": "array", "items": ACCOUNT, "minItems": 1, "maxItems": ACCOUNTS_MAX}
    return _body(
        ["id", "accounts", "amount", *required],
        id=id_schema(),
        accounts={"anyOf": [ACCOUNT, several]},
        amount=amount,
        unit=_UNIT,
        **more,
    )


_LIMIT_BODY = _body(
    ["account", "window"],
    account=ACCOUNT,
    window=_WINDOW,
    amount=_maybe(_amount(0)),
    soft=_maybe(_amount(0)),
    unit=_UNIT,
    thresholds={
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": PERCENT_MAX},
        "maxItems": 16,
        "default": list(THRESHOLDS),
    },
)
_TIMEOUT: Schema = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": TIMEOUT_S_MAX,
    "default": TIMEOUT_S,
}
_REASON: Schema = {"type": "string", "minLength": 1, "maxLength": REASON_CHARS_MAX}
_NOT_ZERO: Schema = {
    "anyOf": [_amount(1), {"type": "integer", "minimum": -AMOUNT_MAX, "maximum": -1}]
}

_LIMIT = member(
    account=_TEXT,
    window=_WINDOW,
    unit=_TEXT,
    amount=_maybe(_NUMBER),
    soft=_maybe(_NUMBER),
    thresholds=array(_NUMBER),
    at=_TIME,
)
_HOLDING: Schema = {
    **_LIMIT,
    "properties": {
        **_LIMIT["properties"],
        "source": {"enum": ["ledger", "policy"]},
        "policy_id": _TEXT,
    },
    "required": sorted([*_LIMIT["required"], "source"]),
}
_CROSSED = member(
    account=_TEXT,
    window=_WINDOW,
    period=_TEXT,
    threshold={"type": ["integer", "string"]},
    mark=_NUMBER,
    used=_NUMBER,
)
_ENTRY: Schema = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["reserve", "commit", "release", "expire", "record", "adjust"]},
        "id": _TEXT,
        "accounts": array(_TEXT),
        "unit": _TEXT,
        "posted": _NUMBER,
        "pending": _NUMBER,
        "at": _TIME,
        "charged_at": _TIME,
        "timeout_s": {"type": "number"},
        "expires_at": _TIME,
        "reason": _TEXT,
        "crossed": array(_CROSSED),
        "sequence": _NUMBER,
    },
    "required": [
        "kind",
        "id",
        "accounts",
        "unit",
        "posted",
        "pending",
        "at",
        "charged_at",
        "crossed",
        "sequence",
    ],
}
_BALANCE = member(
    account=_TEXT,
    unit=_TEXT,
    window=_WINDOW,
    period=_TEXT,
    posted=_NUMBER,
    pending=_NUMBER,
    limit=_maybe(_NUMBER),
    soft=_maybe(_NUMBER),
    available=_maybe(_NUMBER),
    limits=array(_HOLDING),
)

_TAG = "budget"
_ERRORS = (*OWNER, "no_route_configured")
_SPENT = (*_ERRORS, *WRITING, *BODY, "budget_exceeded", "budget_conflict")
_ENDED = (*_ERRORS, *WRITING, "reservation_not_found", "reservation_ended")
_WROTE: dict[int, str | Described] = {200: Described("What it wrote into the ledger", _ENTRY, {})}
_HELD = "/v1/budget/reservations"
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/budget/limits",
        "listBudgetLimits",
        _TAG,
        "The limits of an account, or of all",
        "",
        ("?account",),
        "headers",
        answers={200: Described("Limits", member(limits=array(_HOLDING)), {})},
        errors=_ERRORS,
    ),
    Operation(
        "put",
        "/v1/budget/limits",
        "setBudgetLimit",
        _TAG,
        "Say what an account may use in a window",
        "In micro-units. `amount` is never passed, `soft` is told of; neither: no limit any more.",
        (),
        "headers",
        body=_LIMIT_BODY,
        answers={200: Described("The limit", _LIMIT, {})},
        errors=(*_ERRORS, *WRITING, *BODY),
    ),
    Operation(
        "post",
        _HELD,
        "reserveBudget",
        _TAG,
        "Set an amount aside until it is committed, released or expired",
        "It counts for every account above, and every hard limit of each must have room. The same "
        "id and content again gets the first answer.",
        (),
        "headers",
        body=_spend(_amount(1), timeout_s=_TIMEOUT),
        answers=_WROTE,
        errors=_SPENT,
    ),
    Operation(
        "post",
        f"{_HELD}/{{reservation_id}}/commit",
        "commitBudget",
        _TAG,
        "Post what a reservation holds, or less of it",
        "Without an amount all of it; the rest returns.",
        (),
        "headers",
        body=_body([], amount=_maybe(_amount(0))),
        answers=_WROTE,
        errors=(*_ENDED, *BODY, "budget_conflict"),
    ),
    Operation(
        "post",
        f"{_HELD}/{{reservation_id}}/release",
        "releaseBudget",
        _TAG,
        "Give back what a reservation holds",
        "",
        (),
        "headers",
        answers=_WROTE,
        errors=_ENDED,
    ),
    Operation(
        "post",
        "/v1/budget/records",
        "recordBudget",
        _TAG,
        "Post an amount in one step",
        "The same id and content again gets the first answer.",
        (),
        "headers",
        body=_spend(_amount(1)),
        answers=_WROTE,
        errors=_SPENT,
    ),
    Operation(
        "post",
        "/v1/budget/adjustments",
        "adjustBudget",
        _TAG,
        "Correct what is posted",
        "By an amount that may be negative, with a reason. A positive one needs room.",
        (),
        "headers",
        body=_spend(_NOT_ZERO, ("reason",), reason=_REASON),
        answers=_WROTE,
        errors=_SPENT,
    ),
    Operation(
        "get",
        "/v1/budget/balance",
        "getBudgetBalance",
        _TAG,
        "What an account has used in the present period of a window",
        "",
        ("!account", "?window", "?unit"),
        "headers",
        answers={200: Described("The balance", _BALANCE, {})},
        errors=_ERRORS,
    ),
    Operation(
        "get",
        "/v1/budget/entries",
        "listBudgetEntries",
        _TAG,
        "A page of the ledger",
        "What counts for an account, or everything. `next` is the `after` of the next page.",
        ("?account", "?entry_after", "limit"),
        "headers",
        answers={
            200: Described(
                "Entries", member(entries=array(_ENTRY), next={"type": ["integer", "null"]}), {}
            )
        },
        errors=_ERRORS,
    ),
)
