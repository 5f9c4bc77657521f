"""Reading an audit stream backwards: which intents nothing has ended, and what is put there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventspine.contracts.audit import SYSTEM_TENANT, audit_event
from eventspine.contracts.audit_outcome import (
    APPLIED,
    UNKNOWN,
    Intent,
    Unsettled,
    key_of,
    meant_for,
    outcome_of,
    settled,
)
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor

PLACE = RequestContext(tenant_id="t", env="e", mode="prod", surface_id="audit")


def record(phase: str, change: str | None = "c1", **more: Any) -> dict[str, Any]:
    metadata = {"phase": phase, **({} if change is None else {"change": change})}
    surface, rows = more.pop("surface", "object_store"), more.pop("rows", None)
    given = None if rows is None else {"rows": rows}
    return audit_event(PLACE, "object.put", surface, {**metadata, **more}, given)


def lost(events: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of the lost intents of a stream, as `Unsettled` sees it."""
    found = Unsettled()
    for sequence in range(len(events), 0, -1):
        event = {"event_id": f"e{sequence}", **events[sequence - 1]}
        if not found.take(sequence, event):
            break
    return [intent.event_id for intent in found.lost]


def test_an_intent_is_ended_by_its_own_outcome_alone() -> None:
    assert lost([record("intent"), record("done")]) == []
    assert lost([record("intent"), record("failed")]) == []
    assert lost([record("intent"), record("unknown")]) == []
    assert lost([record("intent"), record("done", "c2")]) == ["e1"]
    assert lost([record("done"), record("intent")]) == ["e2"], "an outcome comes after"
    assert lost([record("intent", "a"), record("intent", "b"), record("done", "a")]) == ["e2"]


def test_records_that_promise_no_outcome_are_none() -> None:
    assert lost([record("intent", None)]) == []
    assert lost([record("intent", surface="notes")]) == []
    assert lost([record("begin")]) == []
    assert lost([audit_event(PLACE, "routing.lookup", "routing")]) == []


def test_a_change_of_routes_in_several_records_has_as_many_outcomes() -> None:
    one, two = [{"key": "k1"}], [{"key": "k2"}]
    events = [record("intent", surface="routing", rows=rows) for rows in (one, two)]
    events.append(record("done", surface="routing", rows=one))
    assert lost(events) == ["e2"]


def test_nobody_reads_further_back_than_what_is_settled() -> None:
    events = [record("intent", "a"), record("intent", "b"), settled(Cursor(1, 1), 0, PLACE)]
    assert lost(events) == ["e2"], "between the position and the mark is news"


def test_nobody_else_can_say_that_it_is_settled() -> None:
    forged = audit_event(PLACE, "audit.settled", metadata={"through": 9, "filled": 0})
    assert lost([record("intent"), forged]) == ["e1"]


def test_what_is_put_there_says_whose_it_is_and_what_is_known() -> None:
    asked = PLACE.model_copy(update={"request_id": "r1", "trace_id": "0" * 32})
    metadata = {"phase": "intent", "change": "c", "by": "ada", "surface_id": "s"}
    payload = audit_event(asked, "object.put", "object_store", metadata, {"key": "k"})["payload"]
    intent = Intent("e7", payload)
    event = outcome_of(intent, UNKNOWN, PLACE)
    assert event["event_id"] == "audit-lost-e7"
    told = event["payload"]
    assert told["metadata"] == {**metadata, "phase": "unknown", "recovered": True}
    assert (told["request_id"], told["trace_id"]) == ("r1", "0" * 32)
    assert told["input_data"] == {"key": "k"}
    assert told["output_data"] == {"found": "unknown"}
    assert key_of(told) == key_of(payload)


def test_where_it_was_to_be_done() -> None:
    own = Intent("e", record("intent", surface_id="s")["payload"])
    assert meant_for(own, PLACE) == PLACE.model_copy(update={"surface_id": "s"})
    scope = {"tenant_id": "t", "env": "e", "mode": "prod", "project_id": "p"}
    moved = Intent("e", record("intent", recorded_for=scope)["payload"])
    system = PLACE.model_copy(update={"tenant_id": SYSTEM_TENANT})
    assert meant_for(moved, system) == system.model_copy(update=scope)


@pytest.mark.parametrize("known", [APPLIED, UNKNOWN])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_after_filling_in_nothing_is_lost(known: Any, story: list[tuple[str, bool]]) -> None:
    """Whatever intents and outcomes came in any order, one pass leaves nothing to do."""
    events: list[dict[str, Any]] = []
    model: set[str] = set()
    for n, (name, ends) in enumerate(story):
        if ends and model:
            change = min(model)
            model.discard(change)
            events.append(record("done", change))
        else:
            model.add(f"{name}{n}")
            events.append(record("intent", f"{name}{n}"))
    found = lost(events)
    assert len(found) == len(model)
    for event_id in reversed(found):
        intent = Intent(event_id, events[int(event_id[1:]) - 1]["payload"])
        events.append(outcome_of(intent, known, PLACE))
    assert lost(events) == []
