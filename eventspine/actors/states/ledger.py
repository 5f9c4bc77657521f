"""A usage ledger that cannot overspend: reserve, commit, release, record, adjust. Pure.

Rules, after TigerBeetle's two-phase transfers:
- A reservation holds its amount until it is committed (less may be posted, the rest returns),
  released, or expired. Which of these it was is settled once and for all.
- An id names one spend for ever: the same again gets the first answer, another one is refused. The
  id and the amount are one record, so no crash leaves one without the other.
- Whether there is room, at every level and in every window, and taking it are one decision.
- What is overdue counts no more from that moment on. It is written down with the next decision,
  also with one that refuses: so a refusal is answered where there is something to write.
- Nothing is ever forgotten or rewritten: the sum of the entries is the balance.
Source: KIND-05, SYS-16.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from heapq import heappop, heappush
from operator import attrgetter
from typing import ClassVar, NamedTuple

from msgspec.structs import replace

from eventspine.actors.states.ledger_accounts import Accounts, Freed
from eventspine.actors.states.ledger_limits import AccountLimits
from eventspine.contracts.budget import (
    AMOUNT_MAX,
    Balance,
    Crossed,
    Entry,
    EntryPage,
    Limit,
    levels,
    periods,
)
from eventspine.contracts.budget_policy import NO_POLICIES, HeldLimit, Policies
from eventspine.contracts.errors import (
    BudgetConflict,
    CallerError,
    InvalidRequest,
    ReservationEnded,
    ReservationNotFound,
    TooLarge,
)
from eventspine.contracts.journal import Decision, State

EXPIRED_AT_ONCE = 1000  # in one decision; the rest with the next ones
_ENDED = {"commit": "committed", "release": "released", "expire": "expired"}
_sequence = attrgetter("sequence")


class Spend(NamedTuple):
    """What is to be reserved, recorded or adjusted; a time only for what is reserved."""

    kind: str
    id: str
    accounts: tuple[str, ...]
    unit: str
    amount: int
    timeout_s: float | None = None
    expires_at: str | None = None
    reason: str | None = None


class Ledger(State[Entry | Limit]):
    record: ClassVar[object] = Entry | Limit

    def __init__(self) -> None:
        self.sequence = 0
        self._accounts = Accounts()
        self._limits = AccountLimits()
        self._entries: list[Entry] = []
        self._entries_of: dict[str, list[Entry]] = {}
        self._begun: dict[str, Entry] = {}
        self._ended: dict[str, Entry] = {}
        self._expiring: list[tuple[str, str]] = []  # a heap; ended ones drop out at their time

    # --- what it adds up to ---

    def apply(self, record: Entry | Limit, sequence: int) -> None:
        self.sequence = sequence
        if isinstance(record, Limit):
            self._limits.put(record)
            return
        entry = replace(record, sequence=sequence)
        self._accounts.add(entry)
        if entry.crossed:
            self._limits.tell(entry.unit, entry.crossed)
        self._entries.append(entry)
        for account in levels(entry.accounts):
            self._entries_of.setdefault(account, []).append(entry)
        if entry.kind in _ENDED:
            self._ended[entry.id] = entry
        else:
            self._begun[entry.id] = entry
        if entry.expires_at is not None:
            heappush(self._expiring, (entry.expires_at, entry.id))

    # --- questions ---

    def balance(
        self, account: str, unit: str, window: str, now: str, policies: Policies = NO_POLICIES
    ) -> Balance:
        """What an account has used in the present period of a window, and what limits it there."""
        period, freed = periods(now)[window], Freed(self._overdue(now))
        posted, pending = self._accounts.used(account, (unit, period))
        pending += freed.of(account, (unit, period))
        held = [
            one
            for one in self._limits.of(account, policies)
            if (one.limit.unit, one.limit.window) == (unit, window)
        ]
        hard = min((h.limit.amount for h in held if h.limit.amount is not None), default=None)
        soft = min((h.limit.soft for h in held if h.limit.soft is not None), default=None)
        room = None if hard is None else max(0, hard - posted - pending)
        used = (posted, pending)
        return Balance(account, unit, window, period, *used, hard, soft, room, tuple(held))

    def page(self, account: str | None, after: int, limit: int, bytes_max: int) -> EntryPage:
        """Entries in ledger order; at least one if there is one, then as long as there is room."""
        known = self._entries if account is None else self._entries_of.get(account, [])
        start = bisect_right(known, after, key=_sequence)
        found: list[Entry] = []
        for entry in known[start : start + limit]:
            bytes_max -= _size(entry)
            if found and bytes_max < 0:
                break
            found.append(entry)
        more = start + len(found) < len(known)
        return EntryPage(found, found[-1].sequence if more else None)

    def limits(self, account: str | None, policies: Policies = NO_POLICIES) -> list[HeldLimit]:
        known = {*self._limits.accounts(), *policies} if account is None else {account}
        return [limit for one in sorted(known) for limit in self._limits.of(one, policies)]

    # --- decisions ---

    def set_limit(self, limit: Limit) -> Decision[Limit]:
        """Set, change or (with neither amount) remove what an account may use in a window."""
        known = self._limits.get(limit.account, limit.unit, limit.window)
        if known is None and limit.amount is None and limit.soft is None:
            return Decision((), limit)
        if known is not None and replace(known, at=limit.at) == limit:
            return Decision((), known)
        return Decision([limit], limit)

    def spend(
        self, spend: Spend, now: str, policies: Policies = NO_POLICIES
    ) -> Decision[Entry | CallerError]:
        """Reserve, record or adjust.

        Args:
            policies: what holds besides the ledger's own limits.

        Raises:
            BudgetExceeded: a hard limit has no room. Nothing is kept of it: the id stays free.
            BudgetConflict: the id is taken by another spend.
        """
        return self._decided(now, lambda freed: self._begin(spend, now, freed, policies))

    def end(
        self, kind: str, reservation_id: str, amount: int | None, now: str
    ) -> Decision[Entry | CallerError]:
        """Commit or release a reservation. `amount`: what is posted of it, None: all.

        Raises:
            ReservationNotFound: nothing was reserved under this id.
            ReservationEnded: it ended in another way, which `state` names.
            BudgetConflict: it was committed with another amount.
        """
        return self._decided(now, lambda freed: self._end(kind, reservation_id, amount, now, freed))

    def _decided(self, now: str, decide: Callable[[Freed], Entry]) -> Decision[Entry | CallerError]:
        freed = Freed(self._overdue(now))
        try:
            entry = decide(freed)
        except CallerError as refused:
            if not freed.expiries:
                raise
            return Decision(freed.expiries, refused)
        if entry.sequence:  # it is in the ledger already
            return Decision(freed.expiries, entry)
        records = [*freed.expiries, entry]
        return Decision(records, replace(entry, sequence=self.sequence + len(records)))

    def _begin(self, spend: Spend, now: str, freed: Freed, policies: Policies) -> Entry:
        known = self._begun.get(spend.id)
        if known is not None:
            return _same(known, spend)
        reserved = spend.kind == "reserve"
        return Entry(
            kind=spend.kind,
            id=spend.id,
            accounts=spend.accounts,
            unit=spend.unit,
            posted=0 if reserved else spend.amount,
            pending=spend.amount if reserved else 0,
            at=now,
            charged_at=now,
            timeout_s=spend.timeout_s,
            expires_at=spend.expires_at,
            reason=spend.reason,
            crossed=self._checked(spend, now, freed, policies),
        )

    def _checked(
        self, spend: Spend, now: str, freed: Freed, policies: Policies
    ) -> tuple[Crossed, ...]:
        """The marks it reaches, if there is room for it."""

        def used(account: str, period: str) -> int:
            counter = (spend.unit, period)
            return sum(self._accounts.used(account, counter)) + freed.of(account, counter)

        accounts = levels(spend.accounts)
        crossed: tuple[Crossed, ...] = ()
        if spend.amount > 0:
            crossed = self._limits.check(accounts, spend.unit, now, spend.amount, used, policies)
        total = periods(now)["total"]
        if any(abs(used(account, total) + spend.amount) > AMOUNT_MAX for account in accounts):
            raise TooLarge(
                "an account holds no more", limit="budget_amount_max", maximum=AMOUNT_MAX
            )
        return crossed

    def _end(self, kind: str, name: str, amount: int | None, now: str, freed: Freed) -> Entry:
        held = self._begun.get(name)
        if held is None or held.kind != "reserve":
            raise ReservationNotFound(f"nothing is reserved under {name[:100]!r}")
        if amount is None:
            amount = held.pending if kind == "commit" else 0
        if amount > held.pending:
            raise InvalidRequest(
                f"{amount} is more than the {held.pending} reserved", parameter="amount"
            )
        ended = self._ended.get(name)
        if ended is None and not _overdue(held, now):
            return _end_of(held, kind, amount, now)
        state = "expire" if ended is None else ended.kind
        if ended is None or state != kind:
            raise ReservationEnded(f"it is {_ENDED[state]}", id=name, state=_ENDED[state])
        if ended.posted != amount:
            raise BudgetConflict(f"{ended.posted} of it are committed, not {amount}", id=name)
        return ended

    def _overdue(self, now: str) -> list[Entry]:
        """The ends of what is pending past its time, as they have to be written down."""
        found: list[tuple[str, str]] = []
        heap = self._expiring
        while heap and heap[0][0] <= now and len(found) < EXPIRED_AT_ONCE:
            one = heappop(heap)
            if one[1] not in self._ended:
                found.append(one)
        for one in found:
            heappush(heap, one)
        return [_end_of(self._begun[name], "expire", 0, now) for _, name in found]


def _overdue(held: Entry, now: str) -> bool:
    return held.expires_at is not None and held.expires_at <= now


def _end_of(held: Entry, kind: str, amount: int, now: str) -> Entry:
    return Entry(
        kind=kind,
        id=held.id,
        accounts=held.accounts,
        unit=held.unit,
        posted=amount,
        pending=-held.pending,
        at=now,
        charged_at=held.charged_at,
    )


def _same(known: Entry, spend: Spend) -> Entry:
    """The first answer, if it was to the same question."""
    before = (known.kind, known.accounts, known.unit, known.posted + known.pending)
    if before != spend[:1] + spend[2:5] or (known.timeout_s, known.reason) != (
        spend.timeout_s,
        spend.reason,
    ):
        raise BudgetConflict(f"{spend.id[:100]!r} is another spend", id=spend.id, kind=known.kind)
    return known


def _size(entry: Entry) -> int:
    """About what it takes as JSON."""
    return 300 + sum(map(len, entry.accounts)) + 150 * len(entry.crossed) + len(entry.reason or "")
