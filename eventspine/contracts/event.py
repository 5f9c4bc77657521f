"""The StreamEvent envelope: what is sent (NewEvent) and what is kept (StreamEvent).

Source: FLD-01 … FLD-07, FLD-19, D14. One event is one JSON object; as stored its keys stand in the
order of StreamEvent's fields, absent metadata is left out, and `payload` is byte for byte what was
sent (whitespace between lines aside).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

EVENT_TYPE_BYTES_MAX = 255


class EventRouting(BaseModel):
    """The scope an event was written in; equal to its context's, or the event is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant_id: str
    env: str
    mode: str
    project_id: str = "default"


class EventMetadata(BaseModel):
    """Who and what caused the event. Filled from the context; further keys are kept as sent."""

    model_config = ConfigDict(extra="allow", frozen=True)

    request_id: str | None = None
    trace_id: str | None = None
    user_id: str | None = None
    surface_id: str | None = None
    run_id: str | None = None
    app_id: str | None = None
    actor_type: str | None = None
    tenant_id: str | None = None
    mode: str | None = None


class NewEvent(BaseModel):
    """An event to append. `event_type` and `payload` are enough; the context fills the rest.

    A stated `event_id` is the idempotency key within its stream: the same id with the same body
    is answered with the stored event, the same id with another body is refused (EventConflict).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    event_type: str = Field(min_length=1)
    payload: dict[str, Any]
    event_id: str | None = None
    ts: datetime | None = None
    stream_id: str | None = None
    routing: EventRouting | None = None
    metadata: EventMetadata | None = None


class StreamEvent(BaseModel):
    """An event as it is stored and served. `sequence` is dense and starts at 1 in each stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sequence: int = Field(ge=1)
    cursor: str
    event_id: str
    ts: datetime
    event_type: str
    stream_id: str
    routing: EventRouting
    metadata: EventMetadata
    payload: dict[str, Any]
