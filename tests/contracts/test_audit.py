"""The audit record: its shape, its place, and that no secret gets into it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts.asking import Asking
from eventspine.contracts.audit import (
    REDACTED,
    audit_event,
    places,
    places_of_row,
    timeline_of,
    without_secrets,
)
from eventspine.contracts.context import RequestContext
from eventspine.contracts.errors import InvalidId
from eventspine.contracts.route import RouteKey

CONTEXT = RequestContext(
    tenant_id="t", env="e", mode="prod", project_id="p", surface_id="chat", user_id="ada"
)


def test_a_record_has_every_member_and_an_action() -> None:
    event = audit_event(CONTEXT, "note.create", "notes", {"a": 1})
    assert event["event_type"] == "audit"
    assert event["payload"] == {
        "action": "note.create",
        "surface": "notes",
        "metadata": {"a": 1},
        "input_data": None,
        "output_data": None,
        "trace_id": None,
        "request_id": None,
        "actor_type": None,
    }
    with pytest.raises(InvalidId):
        audit_event(CONTEXT, "")


def scopes(contexts: list[RequestContext]) -> list[str]:
    return [f"{one.scope.path} in {one.mode}" for one in contexts]


def test_the_tenants_own_place_comes_before_the_systems() -> None:
    assert scopes(places(CONTEXT)) == ["t/e/audit@p in prod", "t_system/e/audit in prod"]
    system = CONTEXT.model_copy(update={"tenant_id": "t_system"})
    assert scopes(places(system)) == ["t_system/e/audit@p in prod"]
    assert places(CONTEXT)[1].user_id == "ada"


def test_a_row_that_stands_for_many_is_the_systems() -> None:
    exact = RouteKey("event_stream", "t", "e", "p", "lab")
    assert scopes(places_of_row(exact)) == ["t/e/audit@p in lab", "t_system/e/audit in lab"]
    for wild in (exact._replace(tenant_id="*"), exact._replace(project_id="*")):
        assert scopes(places_of_row(wild)) == ["t_system/e/audit in lab"]
    anywhere = exact._replace(env="*")
    assert scopes(places_of_row(anywhere)) == ["t_system/system/audit in lab"]
    assert timeline_of(exact).scope.path == "t_system/e/_"
    assert places_of_row(exact, Asking("ada", "r1"))[0].request_id == "r1"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"password": "x"}, {"password": REDACTED}),
        ({"db": {"Api-Key": ["x"], "host": "h"}}, {"db": {"Api-Key": REDACTED, "host": "h"}}),
        ({"max_tokens": 100, "token": "x"}, {"max_tokens": 100, "token": REDACTED}),
        ({"url": "https://u:p@h/x"}, {"url": f"https://{REDACTED}@h/x"}),
        ({"header": "Bearer abc.def"}, {"header": f"Bearer {REDACTED}"}),
        ({"signing_key": "secret://upload"}, {"signing_key": "secret://upload"}),
        ({"key": "acme/ann", "monkey": "m"}, {"key": "acme/ann", "monkey": "m"}),
        (
            [{"op": "add", "path": "/config/client_secret", "value": "x"}],
            [{"op": "add", "path": "/config/client_secret", "value": REDACTED}],
        ),
        (
            [{"op": "add", "path": "", "value": {"config": {"token": "x", "name": "n"}}}],
            [{"op": "add", "path": "", "value": {"config": {"token": REDACTED, "name": "n"}}}],
        ),
        (None, None),
    ],
)
def test_secrets_are_left_out(value: Any, shown: Any) -> None:
    assert without_secrets(value) == shown


SECRET = "5ecret-value-that-must-not-be-seen"
NAMES = st.sampled_from(["password", "apiKey", "auth_token", "clientSecret", "private-key", "sas"])
PLAIN = st.text("abc", max_size=3)


@given(
    st.recursive(
        st.dictionaries(NAMES, st.just(SECRET), min_size=1, max_size=2),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(PLAIN, inner, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_a_secret_is_found_at_any_depth(value: Any) -> None:
    assert SECRET not in json.dumps(without_secrets(value))


def test_what_is_nested_too_deep_is_left_out() -> None:
    value: Any = {"password": "x"}
    for _ in range(100):
        value = {"a": value}
    assert REDACTED in json.dumps(without_secrets(value))
