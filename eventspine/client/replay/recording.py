"""A recorded stream: what one chat, canvas or file of events is before it is sent.

Payloads are kept as JSON bytes: that is what is sent, what the server stores byte for byte, and
what is compared when the stream is read back. 383,000 of them as dicts would take 250 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from eventspine.client.event_ids import derived_id
from eventspine.contracts.errors import CallerError

Kind = Literal["chat", "canvas", "ndjson"]


class RecordingInvalid(CallerError):
    """Fields: `path`, `where`."""

    code = "recording_invalid"
    title = "A file of the recording cannot be read"
    remedy = "Correct the file, or leave it out with --streams."


class RecordedEvent(NamedTuple):
    """`at_s` counts from the first event of its stream; `event_id` only when the file has one."""

    event_type: str
    payload: bytes
    at_s: float
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The events of one stream, in order. A canvas also knows its text at the end."""

    stream_id: str
    kind: Kind
    events: Sequence[RecordedEvent]
    end_content: str | None = None

    def event_id(self, index: int) -> str:
        """The id of event `index`: the same on every run, so that running again adds nothing."""
        return self.events[index].event_id or derived_id(self.stream_id, index)

    def first(self, count: int | None) -> Recording:
        """The recording cut to its first `count` events; a cut canvas has no known end."""
        if count is None or count >= len(self.events):
            return self
        return Recording(self.stream_id, self.kind, self.events[:count])


@dataclass(frozen=True, slots=True)
class Source:
    """A file that holds one recorded stream, not yet read."""

    name: str
    kind: Kind
    path: Path
