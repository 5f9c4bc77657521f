"""Which row a stored stream is behind: the same that serves the scope it was written in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventspine.actors.host import PROBE_KEYS
from eventspine.contracts.context import Scope
from eventspine.contracts.route import WILDCARD, RouteKey
from eventspine.services.switching.reach import Reach, overlap

KIND = "event_stream"
_IDS = ["default", "a", "A/b", "é", "x" * 300, WILDCARD]
_part = st.sampled_from(_IDS)
_value = st.sampled_from([one for one in _IDS if one != WILDCARD])
_mode = st.sampled_from(["lab", "prod"])
_keys = st.builds(RouteKey, st.sampled_from([KIND, "tabular_store"]), _part, _part, _part, _mode)
_scopes = st.builds(Scope, _value, _value, _mode, _value, st.sampled_from(["_", "s p", "squared2"]))


@given(st.sets(_keys, min_size=1, max_size=8), _scopes)
def test_a_row_reaches_the_streams_of_the_scopes_that_it_serves(
    rows: set[RouteKey], scope: Scope
) -> None:
    asked = RouteKey(KIND, scope.tenant_id, scope.env, scope.project_id, scope.mode)
    served_by = next((row for row in asked.rows() if row in rows), None)
    stream = f"{KIND}/{scope.path}/stream"
    for row in rows:
        assert Reach(row, rows).covers(stream, scope.mode) == (row == served_by)


@given(_keys, _keys, _scopes)
def test_rows_overlap_that_could_serve_one_scope(
    one: RouteKey, other: RouteKey, scope: Scope
) -> None:
    asked = RouteKey(one.resource_kind, scope.tenant_id, scope.env, scope.project_id, scope.mode)
    if {one, other} <= set(asked.rows()):
        assert overlap(one, other)
        assert overlap(other, one)


def test_rows_that_no_scope_has_in_common_do_not_overlap() -> None:
    one = RouteKey(KIND, "a", WILDCARD, WILDCARD, "lab")
    assert not overlap(one, one._replace(tenant_id="b"))
    assert not overlap(one, one._replace(mode="prod"))
    assert not overlap(one, one._replace(resource_kind="tabular_store"))
    assert overlap(one, one._replace(tenant_id=WILDCARD, env="dev"))


def test_the_sentinel_of_a_dry_run_is_behind_no_row() -> None:
    wild = RouteKey(KIND, WILDCARD, WILDCARD, WILDCARD, "lab")
    assert not Reach(wild, [wild]).covers(f"{PROBE_KEYS}dev/_/probe", "lab")


@given(_keys, _scopes)
def test_every_stream_of_a_row_begins_with_its_prefix(row: RouteKey, scope: Scope) -> None:
    reach = Reach(row, [row])
    stream = f"{KIND}/{scope.path}/stream"
    assert not reach.covers(stream, scope.mode) or stream.startswith(reach.prefix)
