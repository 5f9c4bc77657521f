"""When each recorded event is due. Pure: the caller has the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventspine.client.replay.recording import RecordedEvent
from eventspine.contracts.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Pace:
    """`factor` 1 is the recorded pace, 10 ten times as fast, None as fast as it goes."""

    factor: float | None = None

    @classmethod
    def parse(cls, text: str) -> Pace:
        """`max`, `realtime`, or a factor as `25x`. Raises InvalidRequest."""
        if text == "max":
            return cls(None)
        if text == "realtime":
            return cls(1.0)
        try:
            factor = float(text.lower().removesuffix("x"))
        except ValueError:
            factor = 0.0
        if not 0.0 < factor < float("inf"):
            raise InvalidRequest(f"a speed is max, realtime or a factor as 25x, not {text!r}")
        return cls(factor)

    def due_s(self, at_s: float) -> float:
        """Seconds after the start at which an event recorded at `at_s` is to be sent."""
        return 0.0 if self.factor is None else at_s / self.factor

    def batch_end(
        self,
        events: Sequence[RecordedEvent],
        start: int,
        now_s: float,
        count_max: int,
        bytes_max: int,
    ) -> int:
        """The end of the batch that begins at `start`: events that are due, within the limits.

        At least one event, due or not: the caller waits for the first one before it asks.
        """
        end, size = start, 0
        while end < len(events) and end - start < count_max:
            size += len(events[end].payload) + 200
            if end > start and (size > bytes_max or self.due_s(events[end].at_s) > now_s):
                break
            end += 1
        return end
