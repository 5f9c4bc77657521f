"""What happened during a replay: counts, times, and who wants to know while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from eventspine.contracts.cursor import Cursor


class Acknowledged(NamedTuple):
    """One event the server has answered for. A checker compares these with what it reads later."""

    stream_id: str
    number: int  # of the event in its recording, from 0
    event_id: str
    cursor: Cursor


OnAck = Callable[[Sequence[Acknowledged]], None]
OnProgress = Callable[[str, int], None]  # stream id, events just acknowledged or read

OnFound = Callable[[int], None]  # events of a stream whose file has just been read


def nobody_asked(_events: int) -> None:
    """The size of a replay nobody watches."""


def nobody(_stream_id: str, _events: int) -> None:
    """The progress of a replay nobody watches."""


@dataclass(slots=True)
class SendLedger:
    """Of all streams together."""

    streams: int = 0
    events: int = 0
    bytes: int = 0
    requests: int = 0
    retries: int = 0
    duplicates: int = 0
    started_s: float = 0.0
    ended_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    def summary(self) -> SendSummary:
        elapsed = max(self.ended_s - self.started_s, 1e-9)
        ordered = sorted(self.latencies_s)
        return SendSummary(
            streams=self.streams,
            events=self.events,
            bytes=self.bytes,
            requests=self.requests,
            retries=self.retries,
            duplicates=self.duplicates,
            elapsed_s=round(elapsed, 3),
            events_per_s=round(self.events / elapsed, 1),
            p50_ms=round(quantile(ordered, 0.50) * 1000, 2),
            p99_ms=round(quantile(ordered, 0.99) * 1000, 2),
        )


@dataclass(frozen=True, slots=True)
class SendSummary:
    """`requests` are appends that were answered; `retries` the tries that were not.

    `duplicates` are events the server had already; times are per append, retries included.
    """

    streams: int
    events: int
    bytes: int
    requests: int
    retries: int
    duplicates: int
    elapsed_s: float
    events_per_s: float
    p50_ms: float
    p99_ms: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile of sorted values; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
