"""What callers state of a question about metrics, checked: times, steps, tiers, fills."""

from __future__ import annotations

from datetime import datetime

from eventspine.contracts.errors import InvalidRequest
from eventspine.contracts.metrics import FILLS, TIERS, Fill, Tier, checked_ms, unix_ms

Time = str | datetime | float  # ISO 8601 with a zone, an aware datetime, or seconds since 1970


def ms_of(time: Time, name: str) -> int:
    if isinstance(time, datetime):
        time = time.isoformat()
    if isinstance(time, str):
        return unix_ms(time, name)
    return checked_ms(time * 1000, name)


def step_ms_of(step_s: float) -> int:
    ms = step_s * 1000
    if not 1 <= ms <= 1e13 or abs(ms - round(ms)) > 1e-6:
        raise InvalidRequest("step must be seconds, of at least 0.001", parameter="step")
    return round(ms)


def tier_of(text: str | None) -> Tier | None:
    if text is None or text == "auto":
        return None
    for tier in TIERS:
        if text == tier:
            return tier
    raise InvalidRequest(f"tier must be auto, {', '.join(TIERS)}", parameter="tier")


def fill_of(text: str) -> Fill:
    for fill in FILLS:
        if text == fill:
            return fill
    raise InvalidRequest(f"fill must be one of {', '.join(FILLS)}", parameter="fill")
