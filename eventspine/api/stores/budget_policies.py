"""The endpoints of budget policies: rows of the system tenant's table, by id. Source: API-09.

The context says in which env, mode and project; a version is the ETag, as with tables.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from eventspine.api import negotiation, query
from eventspine.api.address import RawRoute
from eventspine.api.answer import NO_STORE, Answer, json_answer
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.context import ContextReader
from eventspine.api.operation import BODY, OWNER, WRITING, Described, Operation, array, member
from eventspine.api.service import SpineService
from eventspine.contracts.errors import RowNotFound
from eventspine.contracts.json_text import json_text
from eventspine.contracts.rows import Row
from eventspine.services.budget_policy import BudgetPolicyRepo


class BudgetPolicyEndpoints:
    def __init__(self, spine: SpineService, contexts: ContextReader) -> None:
        self._spine = spine
        self._contexts = contexts
        self._limits = spine.settings.limits

    def routes(self) -> list[BaseRoute]:
        return [
            RawRoute("/v1/budget/policies", {"GET": self.page}),
            RawRoute(
                "/v1/budget/policies/{policy_id}",
                {"GET": self.get, "PUT": self.put, "DELETE": self.delete},
            ),
        ]

    async def page(self, call: Call) -> ASGIApp:
        prefix, after, limit = query.prefix_page(call.query, self._limits.page_events_default)
        page = await self._policies(call).page(prefix, after=after, limit=limit)
        rows = [row.as_json() for row in page.rows]
        return json_answer(200, {"policies": rows, "next": page.next}, [NO_STORE])

    async def get(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        row = await self._policies(call).get_row(call.parameters["policy_id"])
        if row is None:
            raise _missing(call)
        return _row_answer(row)

    async def put(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        version = negotiation.expected_version(call.fields)
        negotiation.require_json(call.fields)
        policies = self._policies(call)
        json = json_text(await read_body(call.receive, call.fields, self._limits.body_bytes_max))
        policy_id = call.parameters["policy_id"]
        return _row_answer(await policies.upsert_json(policy_id, json, if_version=version))

    async def delete(self, call: Call) -> ASGIApp:
        query.parsed(call.query, ())
        version = negotiation.expected_version(call.fields)
        policies = self._policies(call)
        if not await policies.delete(call.parameters["policy_id"], if_version=version):
            raise _missing(call)
        return Answer(204)

    def _policies(self, call: Call) -> BudgetPolicyRepo:
        return self._spine.budget_policies(self._contexts.read(call.fields, call.request_id))


def _missing(call: Call) -> RowNotFound:
    return RowNotFound(f"no policy {call.parameters['policy_id'][:100]!r}")


def _row_answer(row: Row) -> Answer:
    return json_answer(200, row.as_json(), [(b"etag", b'"%d"' % row.version), NO_STORE])


# --- what they are, for /openapi.json ---------------------------------------------------------

_POLICY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "key": {"type": "string"},
        "data": {},
        "version": {"type": "integer", "minimum": 1},
        "updated_at": {"type": "string", "format": "date-time"},
    },
    "required": ["data", "key", "updated_at", "version"],
}
_ONE = "/v1/budget/policies/{policy_id}"
_TAG = "budget"
_ERRORS = (*OWNER, "no_route_configured")
_VERSIONED = ("If-Match-Version", "If-None-Match")
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "get",
        "/v1/budget/policies",
        "listBudgetPolicies",
        _TAG,
        "A page of budget policies in order of their ids",
        "They belong to tenant `t_system`; the context says in which env, mode and project.",
        ("?prefix", "?row_after", "limit"),
        "headers",
        answers={
            200: Described(
                "Policies", member(policies=array(_POLICY), next={"type": ["string", "null"]}), {}
            )
        },
        errors=_ERRORS,
    ),
    Operation(
        "get",
        _ONE,
        "getBudgetPolicy",
        _TAG,
        "One budget policy",
        "",
        (),
        "headers",
        answers={200: Described("The policy", _POLICY, {"ETag": "Its version"})},
        errors=(*_ERRORS, "row_not_found"),
    ),
    Operation(
        "put",
        _ONE,
        "putBudgetPolicy",
        _TAG,
        "Write a budget policy",
        "Any JSON document; kept as it is.",
        _VERSIONED,
        "headers",
        body={},
        answers={200: Described("The policy as stored", _POLICY, {"ETag": "Its version"})},
        errors=(*_ERRORS, *WRITING, *BODY, "precondition_failed"),
    ),
    Operation(
        "delete",
        _ONE,
        "deleteBudgetPolicy",
        _TAG,
        "Delete a budget policy",
        "",
        _VERSIONED,
        "headers",
        answers={204: "nothing"},
        errors=(*_ERRORS, *WRITING, "precondition_failed", "row_not_found"),
    ),
)
