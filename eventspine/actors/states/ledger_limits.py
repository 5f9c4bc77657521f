"""The limits of a ledger: whether a spend has room, and which marks it reaches. Pure.

Rules: every hard limit of every level and window must hold, those of policies and those of the
ledger itself; the one with the least room is named.
A mark is told once in a period, also when what is used falls below it and reaches it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from eventspine.contracts.budget import Crossed, Limit, periods
from eventspine.contracts.budget_policy import HeldLimit, Policies
from eventspine.contracts.errors import BudgetExceeded

Used = Callable[[str, str], int]  # of an account in a period: posted and pending
_Told = tuple[str, str, str, str, int | str, int]


class AccountLimits:
    def __init__(self) -> None:
        self._limits: dict[str, dict[tuple[str, str], Limit]] = {}
        self._told: set[_Told] = set()

    def put(self, limit: Limit) -> None:
        known = self._limits.setdefault(limit.account, {})
        if limit.amount is None and limit.soft is None:
            known.pop((limit.unit, limit.window), None)
        else:
            known[limit.unit, limit.window] = limit

    def get(self, account: str, unit: str, window: str) -> Limit | None:
        return self._limits.get(account, {}).get((unit, window))

    def of(self, account: str, policies: Policies) -> list[HeldLimit]:
        """What holds for an account itself: its policies first."""
        own = sorted(self._limits.get(account, {}).items())
        return [*policies.get(account, ()), *(HeldLimit(limit) for _, limit in own)]

    def accounts(self) -> list[str]:
        return sorted(account for account, known in self._limits.items() if known)

    def tell(self, unit: str, crossed: Iterable[Crossed]) -> None:
        """Remember that these marks have been told."""
        self._told.update(_told(unit, one) for one in crossed)

    def check(
        self,
        accounts: Iterable[str],
        unit: str,
        at: str,
        amount: int,
        used: Used,
        policies: Policies,
    ) -> tuple[Crossed, ...]:
        """The marks that spending `amount` reaches.

        Raises:
            BudgetExceeded: a hard limit has no room for it.
        """
        found: dict[_Told, Crossed] = {}
        narrow: tuple[int, HeldLimit] | None = None
        for held in self._holding(accounts, unit, policies):
            limit = held.limit
            period = periods(at)[limit.window]
            before = used(limit.account, period)
            if limit.amount is not None and before + amount > limit.amount:
                room = max(0, limit.amount - before)
                narrow = min(narrow or (room, held), (room, held), key=lambda one: one[0])
            for one in self._reached(limit, period, before + amount):
                found.setdefault(_told(unit, one), one)
        if narrow is not None:
            raise _exceeded(amount, *narrow)
        return tuple(found.values())

    def _holding(
        self, accounts: Iterable[str], unit: str, policies: Policies
    ) -> Iterator[HeldLimit]:
        for account in accounts:
            for held in policies.get(account, ()):
                if held.limit.unit == unit:
                    yield held
            for (of_unit, _), limit in self._limits.get(account, {}).items():
                if of_unit == unit:
                    yield HeldLimit(limit)

    def _reached(self, limit: Limit, period: str, used: int) -> Iterator[Crossed]:
        for threshold, mark in limit.marks:
            if used < mark:
                return
            one = Crossed(limit.account, limit.window, period, threshold, mark, used)
            if _told(limit.unit, one) not in self._told:
                yield one


def _told(unit: str, one: Crossed) -> _Told:
    return unit, one.account, one.window, one.period, one.threshold, one.mark


def _exceeded(amount: int, room: int, held: HeldLimit) -> BudgetExceeded:
    limit = held.limit
    named = {} if held.policy_id is None else {"policy_id": held.policy_id}
    return BudgetExceeded(
        f"{amount} is more than the {room} left to {limit.account} in its {limit.window}",
        limit=limit.amount,
        window=limit.window,
        account=limit.account,
        unit=limit.unit,
        available=room,
        source=held.source,
        **named,
    )
