"""What a client that writes is like, where it is not like every other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PROMPT_S = 2.0  # who listens is told by then, whatever is slow, while nothing fails
SILENCE_S = 2 * PROMPT_S + 0.5


@dataclass(frozen=True, slots=True)
class Habits:
    """What a client is like.

    Attributes:
        deeds: how often it does what, where that is not as usual.
        bodies: bytes that a payload is filled up with, one of them.
        patience_s: how long it waits for an answer, one of them.
        rest_s: between two deeds, now and then, on average.
        silences: share of its deeds after which it does nothing for SILENCE_S.
    """

    deeds: Mapping[str, int] = field(default_factory=dict)
    bodies: Sequence[int] = (0, 10, 200)
    patience_s: Sequence[float] = (0.004, 0.05, 20.0)
    rest_s: float = 0.01
    silences: float = 0.0


USUAL = Habits()
