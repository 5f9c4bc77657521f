"""Intents without an outcome: what a crash has lost of the audit, found by reading it back. Pure.

Job: read the records of one audit stream from the newest to the oldest, say which intents have no
outcome, and make the outcome that is kept in its place.
Rules:
- An intent and its outcome have the same `change`; those of routes also the same first row, since a
  change of many rows is told in several records. Records without a `change` promise no outcome.
- What was filled in has an event id of its own, made of the intent's, so it is there once however
  often it is tried. It says `recovered`, and no more than what can be known: `done`, `failed` or
  `unknown`.
- A record `audit.settled` says that up to a position nothing is missing; nobody reads further back.
Source: R-07, R-27; decision 0022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from eventspine.contracts.audit import audit_event
from eventspine.contracts.context import RequestContext
from eventspine.contracts.cursor import Cursor
from eventspine.contracts.route import ResourceKind

SETTLED = "audit.settled"
ROUTING = "routing"
INTENT = "intent"
OUTCOMES = frozenset(["done", "failed", "unknown"])
_SETTLED_ID = "audit-settled-"
_SURFACES = frozenset([ROUTING, *ResourceKind])
Key = tuple[str, ...]


class Intent(NamedTuple):
    """A record that says what is about to be done."""

    event_id: str
    payload: Mapping[str, Any]

    @property
    def action(self) -> str:
        return str(self.payload["action"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.payload["metadata"]
        return found

    @property
    def input(self) -> Mapping[str, Any]:
        return self.payload.get("input_data") or {}


class Known(NamedTuple):
    """What became of an intent, as far as can be told."""

    phase: str
    output: Mapping[str, Any]


APPLIED = Known("done", {"found": "applied"})
NOT_APPLIED = Known("failed", {"error": "interrupted", "found": "not_applied"})
UNKNOWN = Known("unknown", {"found": "unknown"})


class Unsettled:
    """Reads backwards. `lost` are the intents that nothing has ended, the newest first."""

    def __init__(self) -> None:
        self.lost: list[Intent] = []
        self.read = 0
        self._ended: set[Key] = set()
        self._settled = 0

    def take(self, sequence: int, event: Mapping[str, Any]) -> bool:
        """The next older event. Answers False when it and all before it are settled."""
        if sequence <= self._settled:
            return False
        self.read += 1
        payload = event["payload"]
        if event["event_id"].startswith(_SETTLED_ID):  # which nobody else can give
            self._settled = max(self._settled, int(payload["metadata"]["through"]))
            return True
        key = key_of(payload)
        if key is None:
            return True
        if payload["metadata"]["phase"] != INTENT:
            self._ended.add(key)
        elif key in self._ended:
            self._ended.remove(key)
        else:
            self.lost.append(Intent(event["event_id"], payload))
        return True


def key_of(payload: Mapping[str, Any]) -> Key | None:
    """What an intent and its outcome have in common; None for any other record."""
    metadata = payload.get("metadata") or {}
    phase, change = metadata.get("phase"), metadata.get("change")
    if payload.get("surface") not in _SURFACES or not isinstance(change, str):
        return None
    if phase != INTENT and phase not in OUTCOMES:
        return None
    rows = (payload.get("input_data") or {}).get("rows")
    row = rows[0]["key"] if payload["surface"] == ROUTING and rows else ""
    return str(payload["action"]), change, str(row)


def outcome_of(intent: Intent, known: Known, place: RequestContext) -> dict[str, Any]:
    """The event that says what became of a lost intent."""
    request_id = intent.payload.get("request_id")
    who = place.model_copy(update={"request_id": request_id} if request_id else {})
    metadata = {**intent.metadata, "phase": known.phase, "recovered": True}
    surface = str(intent.payload["surface"])
    event = audit_event(who, intent.action, surface, metadata, intent.input, known.output)
    event["payload"]["trace_id"] = intent.payload.get("trace_id")
    event["payload"]["actor_type"] = intent.payload.get("actor_type")
    return {"event_id": f"audit-lost-{intent.event_id}", **event}


def settled(through: Cursor, filled: int, place: RequestContext) -> dict[str, Any]:
    """The event that says that up to a position nothing is missing any more."""
    metadata = {"through": through.sequence, "filled": filled}
    event = audit_event(place, SETTLED, metadata=metadata)
    return {"event_id": f"{_SETTLED_ID}{through}", **event}


def meant_for(intent: Intent, place: RequestContext) -> RequestContext:
    """The scope in which it was to be done: that of the record, or what it says it is for."""
    stated = {**(intent.metadata.get("recorded_for") or {})}
    surface = intent.metadata.get("surface_id")
    if isinstance(surface, str):
        stated["surface_id"] = surface
    return place.model_copy(update=stated)
