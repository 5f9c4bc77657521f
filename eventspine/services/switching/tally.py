"""Tally: what switches of one kind of store have done since the process began."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """`falls`: how often a backend that followed stopped to, so that all of it lagged again."""

    copied_events: int = 0
    copied_bytes: int = 0
    falls: int = 0
    longest_pause_s: float = 0.0
