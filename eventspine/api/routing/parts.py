"""What requests about routes have in common: keys, revisions, bodies."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from eventspine.api import negotiation
from eventspine.api.body import read_body
from eventspine.api.call import Call
from eventspine.api.fields import Fields
from eventspine.contracts.context import DEFAULT_PROJECT
from eventspine.contracts.errors import InvalidJson, InvalidRequest, InvalidRoute
from eventspine.contracts.ids import checked_id
from eventspine.contracts.route import ResourceKind, RouteKey

KEY_NAMES = frozenset(RouteKey._fields)
M = TypeVar("M", bound=BaseModel)


def key_parts(stated: dict[str, str]) -> dict[str, str]:
    """Parts of a key, checked. Raises InvalidId, InvalidRequest."""
    for name, value in stated.items():
        checked_id(value, name)
    kind = stated.get("resource_kind")
    if kind is not None and kind not in set(ResourceKind):
        kinds = [known.value for known in ResourceKind]
        raise InvalidRequest(
            f"resource_kind must be one of {', '.join(kinds)}", parameter="resource_kind"
        )
    return stated


def scope_key(stated: dict[str, str]) -> RouteKey:
    """A whole key; the project may be left out. Raises InvalidRequest."""
    values = key_parts(stated)
    missing = sorted(KEY_NAMES - values.keys() - {"project_id"})
    if missing:
        raise InvalidRequest(f"missing: {', '.join(missing)}", parameter=missing[0])
    return RouteKey(**{"project_id": DEFAULT_PROJECT, **values})


def key_of(call: Call) -> RouteKey:
    """The key that an address names. Raises InvalidId, InvalidRequest."""
    return RouteKey(**key_parts(call.parameters))


def modelled(model: type[M], members: dict[str, Any]) -> M:
    """The members of a body as one of ours. Raises InvalidRoute, naming the first that is wrong."""
    try:
        return model.model_validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidRoute(f"{field}: {first['msg']}", field=field) from None


def if_revision(fields: Fields, of: str) -> int | None:
    """The revision in If-Match. Raises InvalidRequest."""
    tag = negotiation.entity_tag(fields)
    if tag is None:
        return None
    if not (tag.isascii() and tag.isdigit() and len(tag) < 19):
        raise InvalidRequest(f"If-Match must be {of} in quotes", parameter="If-Match")
    return int(tag)


def changed_by(fields: Fields) -> str | None:
    user = fields.text(b"x-user-id")
    return None if user is None else checked_id(user, "user_id")


async def json_members(call: Call, bytes_max: int) -> dict[str, Any]:
    """The members of a body that is a JSON object. Raises InvalidJson, InvalidRoute."""
    negotiation.require_json(call.fields)
    body = await read_body(call.receive, call.fields, bytes_max)
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(f"the body is not JSON: {error}") from None
    if not isinstance(members, dict):
        raise InvalidRoute("the body must be a JSON object")
    return members


def reason_of(members: dict[str, Any]) -> str | None:
    """Why, as a body states it. Raises InvalidRequest."""
    reason = members.get("reason")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= 1000):
        raise InvalidRequest("reason is a text of at most 1000 characters", parameter="reason")
    return reason
