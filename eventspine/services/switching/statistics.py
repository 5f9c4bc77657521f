"""Numbers of switches by kind of store: what an operator watches while a route moves.

Counters begin at zero with the process; what is a gauge is worked out when it is asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from eventspine.contracts.switch import Switch
from eventspine.services.switching.moving import Moving
from eventspine.services.switching.tally import Tally


@dataclass(frozen=True, slots=True)
class SwitchStatistics:
    """Of the switches of one kind of store, which `name` says; times in seconds.

    `lagging_streams`: behind open switches, and not written to both. `under_way_*`: durable at the
    one backend, and not at the other yet. `verified_age_s`: of the oldest verification of an open
    switch; None: there is none. `longest_pause_s`: since the process began.
    """

    name: str
    by_state: Mapping[str, int]
    streams: int
    lagging_streams: int
    under_way_commits: int
    under_way_bytes: int
    copied_events: int
    copied_bytes: int
    falls: int
    verified_age_s: float | None
    longest_pause_s: float


def by_kind(
    switches: Iterable[Switch],
    moving: Mapping[str, Moving],
    tallies: Mapping[str, Tally],
    now: datetime,
) -> tuple[SwitchStatistics, ...]:
    """Of all switches that are kept; those at work by their id, the tallies by kind."""
    kinds: defaultdict[str, list[Switch]] = defaultdict(list)
    for switch in switches:
        kinds[switch.resource_kind].append(switch)
    return tuple(
        _of(kind, kept, [moving[s.id] for s in kept if s.id in moving], tallies[kind], now)
        for kind, kept in sorted(kinds.items())
    )


def _of(
    kind: str,
    kept: Sequence[Switch],
    moving: Iterable[Moving],
    tally: Tally,
    now: datetime,
) -> SwitchStatistics:
    mirrors = [one.mirror for one in moving]
    verified = [one.verification.at for one in kept if one.is_open and one.verification]
    return SwitchStatistics(
        kind,
        Counter(switch.state.value for switch in kept),
        sum(len(mirror.followed) + len(mirror.lagging) for mirror in mirrors),
        sum(len(mirror.lagging) for mirror in mirrors),
        sum(len(parcel.keys) for mirror in mirrors for parcel in mirror.under_way),
        sum(parcel.size for mirror in mirrors for parcel in mirror.under_way),
        tally.copied_events,
        tally.copied_bytes,
        tally.falls,
        (now - min(verified)).total_seconds() if verified else None,
        tally.longest_pause_s,
    )
