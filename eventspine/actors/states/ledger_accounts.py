"""What every account has used in every period: posted, and pending. Pure.

Counters are never dropped: a spend can be committed or expire long after its hour, and it counts
in the windows of the time it was reserved.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from eventspine.contracts.budget import Entry, levels, periods

Counter = tuple[str, str]  # a unit and a period; a period's form says of which window


class Accounts:
    def __init__(self) -> None:
        self._posted: dict[str, dict[Counter, int]] = {}
        self._pending: dict[str, dict[Counter, int]] = {}

    def add(self, entry: Entry) -> None:
        """Count an entry, at every level and in every window."""
        counters = _counters(entry.unit, entry.charged_at)
        for account in levels(entry.accounts):
            for all_of, amount in ((self._posted, entry.posted), (self._pending, entry.pending)):
                if not amount:
                    continue
                used = all_of.setdefault(account, {})
                for counter in counters:
                    used[counter] = used.get(counter, 0) + amount
                    if not used[counter]:
                        del used[counter]

    def used(self, account: str, counter: Counter) -> tuple[int, int]:
        """Posted and pending."""
        return (
            self._posted.get(account, {}).get(counter, 0),
            self._pending.get(account, {}).get(counter, 0),
        )


class Freed:
    """What is pending and overdue: it is on its way out and counts no more."""

    def __init__(self, expiries: Iterable[Entry]) -> None:
        self.expiries = list(expiries)
        self.ids = {entry.id for entry in self.expiries}
        self._accounts = Accounts()
        for entry in self.expiries:
            self._accounts.add(entry)

    def of(self, account: str, counter: Counter) -> int:
        return self._accounts.used(account, counter)[1] if self.expiries else 0


@lru_cache(maxsize=4096)
def _counters(unit: str, at: str) -> tuple[Counter, ...]:
    return tuple(_counter(unit, period) for period in periods(at).values())


@lru_cache(maxsize=65_536)
def _counter(unit: str, period: str) -> Counter:
    """One object for all accounts that have this counter."""
    return unit, period
