"""A ledger beside a plain list of spends: any program, and replaying its records."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventspine.actors.states.ledger import Ledger, Spend
from eventspine.contracts.budget import WINDOWS, Entry, Limit, levels, periods
from eventspine.contracts.errors import (
    BudgetConflict,
    BudgetExceeded,
    CallerError,
    InvalidRequest,
    ReservationEnded,
    ReservationNotFound,
    TooLarge,
)
from tests.inner import examples

IDS = st.sampled_from([f"i{n}" for n in range(8)])
ACCOUNTS = st.sampled_from([("a",), ("a/b",), ("a/b/c",), ("a/d",), ("e",), ("a/b", "e")])
NAMES = ("a", "a/b", "a/b/c", "a/d", "e")
UNITS = st.sampled_from(["usd", "tokens"])
AMOUNTS = st.integers(1, 6)


def at(minute: int) -> str:
    """Minute 0 is an hour and a half before a new month."""
    day, hour, left = 0, 22, minute + 30
    hour, left = hour + left // 60, left % 60
    day, hour = day + hour // 24, hour % 24
    date = "2026-01-31" if day == 0 else f"2026-02-{day:02d}"
    return f"{date}T{hour:02d}:{left:02d}:00.000Z"


class Made(NamedTuple):
    spend: Spend
    minute: int
    expires: int | None


class LedgerAndList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.stored: list[bytes] = []
        self.minute = 0
        self.limits: dict[tuple[str, str, str], int] = {}
        self.made: dict[str, Made] = {}
        self.ends: dict[str, tuple[str, int]] = {}
        self.answers: dict[tuple[str, str], Entry] = {}

    # --- the plain model ---

    def used(self, account: str, unit: str, window: str) -> int:
        return sum(self.parts(account, unit, window))

    def parts(self, account: str, unit: str, window: str) -> tuple[int, int]:
        posted = pending = 0
        for made in self.made.values():
            spend = made.spend
            if spend.unit != unit or account not in levels(spend.accounts):
                continue
            if periods(at(made.minute))[window] != periods(at(self.minute))[window]:
                continue
            if spend.kind != "reserve":
                posted += spend.amount
            elif spend.id in self.ends:
                posted += self.ends[spend.id][1]
            elif not self.overdue(made):
                pending += spend.amount
        return posted, pending

    def overdue(self, made: Made) -> bool:
        return made.expires is not None and made.expires <= self.minute

    def settle(self) -> None:
        """What is overdue has expired, and stays so."""
        for name, made in self.made.items():
            if self.overdue(made):
                self.ends.setdefault(name, ("expire", 0))

    def room(self, spend: Spend) -> bool:
        return all(
            self.used(account, unit, window) + spend.amount <= amount
            for (account, unit, window), amount in self.limits.items()
            if unit == spend.unit and account in levels(spend.accounts)
        )

    # --- the ledger ---

    def do(self, decision: Any) -> Any:
        for record in decision.records:
            line = msgspec.json.encode(record)
            self.stored.append(line)
            number = len(self.stored)
            self.ledger.apply(msgspec.json.decode(line, type=Ledger.record), number)
        if isinstance(decision.answer, CallerError):
            raise decision.answer
        return decision.answer

    def spend(self, spend: Spend, expires: int | None = None) -> None:
        self.settle()
        known = self.made.get(spend.id)
        if known is not None:
            before = known.spend._replace(expires_at=None)
            if before == spend._replace(expires_at=None):
                again = self.do(self.ledger.spend(spend, at(self.minute)))
                assert again == self.answers["begin", spend.id]
            else:
                with pytest.raises(BudgetConflict):
                    self.do(self.ledger.spend(spend, at(self.minute)))
        elif spend.amount > 0 and not self.room(spend):
            with pytest.raises(BudgetExceeded) as refused:
                self.do(self.ledger.spend(spend, at(self.minute)))
            fields = refused.value.fields
            account, window = str(fields["account"]), str(fields["window"])
            limit = self.limits[account, spend.unit, window]
            used = self.used(account, spend.unit, window)
            assert fields["limit"] == limit
            assert fields["available"] == max(0, limit - used) < spend.amount
        else:
            entry = self.do(self.ledger.spend(spend, at(self.minute)))
            assert entry.sequence == len(self.stored)
            self.answers["begin", spend.id] = entry
            self.made[spend.id] = Made(spend, self.minute, expires)

    @rule(id=IDS, accounts=ACCOUNTS, unit=UNITS, amount=AMOUNTS, minutes=st.integers(1, 90))
    def reserve(
        self, id: str, accounts: tuple[str, ...], unit: str, amount: int, minutes: int
    ) -> None:
        expires = self.minute + minutes
        spend = Spend("reserve", id, accounts, unit, amount, minutes * 60.0, at(expires))
        self.spend(spend, expires)

    @rule(id=IDS)
    def reserve_again(self, id: str) -> None:
        made = self.made.get(id)
        if made is not None:
            self.spend(made.spend._replace(expires_at=made.spend.expires_at and at(self.minute)))

    @rule(id=IDS, accounts=ACCOUNTS, unit=UNITS, amount=AMOUNTS)
    def record(self, id: str, accounts: tuple[str, ...], unit: str, amount: int) -> None:
        self.spend(Spend("record", id, accounts, unit, amount))

    @rule(id=IDS, accounts=ACCOUNTS, unit=UNITS, amount=st.integers(-6, 6).filter(bool))
    def adjust(self, id: str, accounts: tuple[str, ...], unit: str, amount: int) -> None:
        self.spend(Spend("adjust", id, accounts, unit, amount, reason="counted again"))

    @rule(id=IDS, amount=st.none() | st.integers(0, 7))
    def commit(self, id: str, amount: int | None) -> None:
        self.end("commit", id, amount)

    @rule(id=IDS)
    def release(self, id: str) -> None:
        self.end("release", id, None)

    def end(self, kind: str, id: str, amount: int | None) -> None:
        self.settle()
        made = self.made.get(id)
        error: type[CallerError] | None = None
        posted = 0
        if made is None or made.spend.kind != "reserve":
            error = ReservationNotFound
        else:
            if kind == "commit":
                posted = made.spend.amount if amount is None else amount
            if posted > made.spend.amount:
                error = InvalidRequest
            elif id in self.ends and self.ends[id][0] != kind:
                error = ReservationEnded
            elif id in self.ends and self.ends[id][1] != posted:
                error = BudgetConflict
        if error is not None:
            with pytest.raises(error):
                self.do(self.ledger.end(kind, id, amount, at(self.minute)))
            return
        entry = self.do(self.ledger.end(kind, id, amount, at(self.minute)))
        assert entry == self.answers.setdefault(("end", id), entry)
        self.ends[id] = (kind, posted)

    @rule(
        account=st.sampled_from(NAMES),
        unit=UNITS,
        window=st.sampled_from(WINDOWS),
        amount=st.none() | st.integers(0, 15),
    )
    def limit(self, account: str, unit: str, window: str, amount: int | None) -> None:
        limit = Limit(account, window, unit, amount, None, (50, 100), at(self.minute))
        self.do(self.ledger.set_limit(limit))
        self.limits.pop((account, unit, window), None)
        if amount is not None:
            self.limits[account, unit, window] = amount

    @rule(minutes=st.integers(1, 50))
    def time_passes(self, minutes: int) -> None:
        self.minute += minutes

    @rule()
    def replayed(self) -> None:
        self.ledger = Ledger()
        for number, line in enumerate(self.stored, 1):
            self.ledger.apply(msgspec.json.decode(line, type=Ledger.record), number)

    @invariant()
    def they_agree(self) -> None:
        now = at(self.minute)
        for account in NAMES:
            for unit in ("usd", "tokens"):
                for window in WINDOWS:
                    found = self.ledger.balance(account, unit, window, now)
                    assert (found.posted, found.pending) == self.parts(account, unit, window)
                    assert found.limit == self.limits.get((account, unit, window))

    @invariant()
    def the_sum_of_the_entries_is_the_balance(self) -> None:
        for account in NAMES:
            entries = self.ledger.page(account, 0, 10_000, 1 << 30).entries
            for unit in ("usd", "tokens"):
                posted = sum(entry.posted for entry in entries if entry.unit == unit)
                assert posted == self.ledger.balance(account, unit, "total", at(0)).posted


TestLedgerAndList = LedgerAndList.TestCase
TestLedgerAndList.settings = settings(
    max_examples=examples(40), stateful_step_count=40, deadline=None
)


def made_of(*limits: Limit) -> Ledger:
    ledger = Ledger()
    for limit in limits:
        ledger.apply(limit, ledger.sequence + 1)
    return ledger


def spent(ledger: Ledger, spend: Spend, now: str = at(0)) -> Entry:
    decision = ledger.spend(spend, now)
    for record in decision.records:
        assert isinstance(record, Entry)
        ledger.apply(record, ledger.sequence + 1)
    assert isinstance(decision.answer, Entry)
    return decision.answer


def test_marks_are_told_once_in_a_period_and_again_with_the_first_answer() -> None:
    ledger = made_of(Limit("a", "hour", "usd", 10, 7, (50, 80, 100), at(0)))
    first = Spend("record", "1", ("a/b",), "usd", 6)
    entry = spent(ledger, first)
    assert [(one.threshold, one.mark, one.used) for one in entry.crossed] == [(50, 5, 6)]
    assert spent(ledger, Spend("adjust", "2", ("a",), "usd", -3, reason="r")).crossed == ()
    assert spent(ledger, Spend("record", "3", ("a",), "usd", 2)).crossed == (), "told already"
    rest = spent(ledger, Spend("record", "4", ("a",), "usd", 5)).crossed
    assert [one.threshold for one in rest] == ["soft", 80, 100]
    assert spent(ledger, first).crossed == entry.crossed
    later = spent(ledger, Spend("record", "5", ("a",), "usd", 5), at(60))
    assert [(one.threshold, one.period) for one in later.crossed] == [(50, "2026-01-31T23")]


def test_a_soft_limit_admits_and_tells() -> None:
    ledger = made_of(Limit("a", "total", "usd", None, 10, (50, 100), at(0)))
    entry = spent(ledger, Spend("record", "1", ("a",), "usd", 100))
    assert [one.threshold for one in entry.crossed] == [50, 100, "soft"]


def test_a_refusal_writes_down_what_has_expired() -> None:
    ledger = made_of(Limit("a", "total", "usd", 10, None, (), at(0)))
    spent(ledger, Spend("reserve", "1", ("a",), "usd", 9, 60.0, at(1)))
    decision = ledger.spend(Spend("record", "2", ("a",), "usd", 11), at(2))
    assert isinstance(decision.answer, BudgetExceeded)
    assert decision.answer.fields["available"] == 10
    (record,) = decision.records
    assert isinstance(record, Entry)
    assert (record.kind, record.id, record.pending) == ("expire", "1", -9)
    assert record.charged_at == at(0), "it returns to the windows it was taken from"


def test_an_account_has_an_end_without_any_limit() -> None:
    ledger = Ledger()
    spent(ledger, Spend("record", "1", ("a",), "usd", 2**53 - 1))
    with pytest.raises(TooLarge):
        ledger.spend(Spend("record", "2", ("a/b",), "usd", 1), at(0))
    spent(ledger, Spend("record", "3", ("b",), "usd", 1))


def test_pages_of_an_account_have_what_is_below_it() -> None:
    ledger = Ledger()
    for n, account in enumerate(["a/b", "c", "a", "a/b/d", "ab"]):
        spent(ledger, Spend("record", f"{n}", (account,), "usd", 1))
    page = ledger.page("a", 0, 2, 1 << 20)
    assert [entry.sequence for entry in page.entries] == [1, 3]
    assert page.next == 3
    page = ledger.page("a", 3, 2, 1)
    assert [entry.sequence for entry in page.entries] == [4]
    assert page.next is None
    assert len(ledger.page(None, 1, 9, 1).entries) == 1, "room for one, and there is more"
    assert ledger.page("nobody", 0, 2, 1).entries == []
