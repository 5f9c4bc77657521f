"""BudgetStoreService: a usage ledger that cannot overspend. Source: KIND-05, SYS-16.

    budget = spine.budget(context)
    await budget.set_limit("acme", "month", 25_000_000)          # 25 dollars, in micro-units
    held = await budget.reserve("call-1", "acme/web/ann", 40_000, timeout_s=60)
    await budget.commit("call-1", 31_500)                        # the rest returns
    await budget.balance("acme", "month")                        # Balance(posted=31500, …)

Every answer of reserve, commit, release, record and adjust is the entry it wrote into the ledger,
and the same call again, after an hour or a crash, gets that entry again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from eventspine.actors.states.ledger import Ledger, Spend
from eventspine.contracts.budget import (
    AMOUNT_MAX,
    THRESHOLDS,
    TIMEOUT_S_MAX,
    UNIT,
    Balance,
    Entry,
    EntryPage,
    Limit,
    checked_account,
    checked_accounts,
    checked_amount,
    checked_thresholds,
    checked_window,
)
from eventspine.contracts.budget_policy import HeldLimit
from eventspine.contracts.context import RequestContext
from eventspine.contracts.entries import later
from eventspine.contracts.errors import (
    CallerError,
    EventConflict,
    EventspineError,
    InvalidRequest,
    NoRouteConfigured,
)
from eventspine.contracts.ids import checked_id
from eventspine.contracts.journal import Decision
from eventspine.contracts.limits import Limits
from eventspine.contracts.route import ResourceKind
from eventspine.services.audit_mutations import mutation
from eventspine.services.journals import Journals
from eventspine.services.policy_limits import PolicyLimits

log = logging.getLogger(__name__)
A = TypeVar("A")
Append = Callable[[str, Mapping[str, Any], RequestContext], Awaitable[object]]
LEDGER = "ledger"
EVENTS = "budget_events"
EVENT_TYPE = "budget.threshold"
TIMEOUT_S = 600.0
REASON_CHARS_MAX = 1000


class BudgetStoreService:
    """The ledger of one scope. Made by `Spine.budget(context)`.

    Args:
        append: how threshold events get into the scope's stream `budget_events`.
        policies: what the operator's policies say of scopes.
    """

    def __init__(
        self,
        context: RequestContext,
        journals: Journals,
        limits: Limits,
        append: Append,
        policies: PolicyLimits,
    ) -> None:
        self._context = context
        self._journals = journals
        self._limits = limits
        self._append = append
        self._policies = policies

    # --- limits ---

    @mutation("budget_store", "budget.set_limit", "account", "window", "amount")
    async def set_limit(
        self,
        account: str,
        window: str,
        amount: int | None,
        soft: int | None = None,
        *,
        unit: str = UNIT,
        thresholds: Sequence[int] = THRESHOLDS,
    ) -> Limit:
        """Say what an account may use in a window: hour, day, month or total.

        A limit below what is used already takes nothing back; it admits nothing more.

        Args:
            amount: what is never passed, in micro-units; None: no hard limit.
            soft: an amount that is only told of when it is reached. Both None: no limit any more.
            thresholds: per cents of the amount (of `soft` where there is no other) to tell of.
        """
        limit = Limit(
            account=checked_account(account),
            window=checked_window(window),
            unit=checked_id(unit, "unit"),
            amount=None if amount is None else checked_amount(amount, 0),
            soft=None if soft is None else checked_amount(soft, 0, "soft"),
            thresholds=checked_thresholds(thresholds),
            at=self._journals.now(),
        )
        return await self._ask(lambda ledger: ledger.set_limit(limit))

    async def limits(self, account: str | None = None) -> list[HeldLimit]:
        """What limits an account, or all: policies, and what `set_limit` has said."""
        wanted = None if account is None else checked_account(account)
        policies = await self._policies.of(self._context)
        return await self._ask(lambda ledger: Decision((), ledger.limits(wanted, policies)))

    # --- spending ---

    @mutation("budget_store", "budget.reserve", "id", "accounts", "amount")
    async def reserve(
        self,
        id: str,
        accounts: str | Sequence[str],
        amount: int,
        timeout_s: float = TIMEOUT_S,
        *,
        unit: str = UNIT,
    ) -> Entry:
        """Set an amount aside, until it is committed, released, or `timeout_s` has passed.

        Args:
            id: names this spend for ever; the same call again gets the first answer.
            accounts: a path, `acme/web/ann`, or several; it counts for every account above too.

        Raises:
            BudgetExceeded: a hard limit of one of the accounts, or a policy, has no room.
            BudgetConflict: the id names another spend.
        """
        now = self._journals.now()
        if type(timeout_s) not in (int, float) or not 0 < timeout_s <= TIMEOUT_S_MAX:
            raise InvalidRequest(
                f"timeout_s must be above 0 and at most {TIMEOUT_S_MAX}", parameter="timeout_s"
            )
        spend = _spend("reserve", id, accounts, unit, checked_amount(amount, 1))
        timed = spend._replace(timeout_s=float(timeout_s), expires_at=later(now, timeout_s))
        return await self._spend(timed, now)

    @mutation("budget_store", "budget.commit", "id", "amount")
    async def commit(self, id: str, amount: int | None = None) -> Entry:
        """Post what a reservation holds, or less of it; the rest returns.

        Raises:
            ReservationNotFound, ReservationEnded: there is nothing to commit.
            BudgetConflict: it is committed with another amount.
        """
        posted = None if amount is None else checked_amount(amount, 0)
        return await self._end("commit", id, posted)

    @mutation("budget_store", "budget.release", "id")
    async def release(self, id: str) -> Entry:
        """Give back what a reservation holds. Raises as `commit` does."""
        return await self._end("release", id, None)

    @mutation("budget_store", "budget.record", "id", "accounts", "amount")
    async def record(
        self, id: str, accounts: str | Sequence[str], amount: int, *, unit: str = UNIT
    ) -> Entry:
        """Post an amount in one step. Raises as `reserve` does."""
        spend = _spend("record", id, accounts, unit, checked_amount(amount, 1))
        return await self._spend(spend, self._journals.now())

    @mutation("budget_store", "budget.adjust", "id", "accounts", "amount", "reason")
    async def adjust(
        self,
        id: str,
        accounts: str | Sequence[str],
        amount: int,
        reason: str,
        *,
        unit: str = UNIT,
    ) -> Entry:
        """Correct what is posted, by an amount that may be negative, in the windows of now.

        A positive one needs room like any spend. Raises as `reserve` does.
        """
        if not reason or len(reason) > REASON_CHARS_MAX or not _is_text(reason):
            raise InvalidRequest(
                f"reason must be 1 to {REASON_CHARS_MAX} characters", parameter="reason"
            )
        if checked_amount(amount, -AMOUNT_MAX) == 0:
            raise InvalidRequest("amount must not be 0", parameter="amount")
        spend = _spend("adjust", id, accounts, unit, amount)._replace(reason=reason)
        return await self._spend(spend, self._journals.now())

    # --- questions ---

    async def balance(self, account: str, window: str = "total", *, unit: str = UNIT) -> Balance:
        """What an account has posted and pending in the present period of a window."""
        name, of = checked_account(account), checked_window(window)
        wanted, now = checked_id(unit, "unit"), self._journals.now()
        policies = await self._policies.of(self._context)
        return await self._ask(
            lambda ledger: Decision((), ledger.balance(name, wanted, of, now, policies))
        )

    async def entries(
        self, account: str | None = None, after: int = 0, limit: int | None = None
    ) -> EntryPage:
        """A page of the ledger: what counts for an account (and those below it), or everything.

        Args:
            after: the `sequence` of the last entry known.
            limit: at most so many; lowered to the operator's maximum.
        """
        most = self._limits.page_events_max
        count = most if limit is None else min(limit, most)
        if count < 1 or after < 0:
            raise InvalidRequest("limit must be at least 1, after at least 0", parameter="limit")
        name = None if account is None else checked_account(account)
        room = self._limits.page_bytes_max
        return await self._ask(lambda ledger: Decision((), ledger.page(name, after, count, room)))

    # --- how ---

    async def _spend(self, spend: Spend, now: str) -> Entry:
        policies = await self._policies.of(self._context)
        entry = _accepted(await self._ask(lambda ledger: ledger.spend(spend, now, policies)))
        if entry.crossed:
            await self._tell(entry)
        return entry

    async def _end(self, kind: str, id: str, amount: int | None) -> Entry:
        name, now = checked_id(id, "id"), self._journals.now()
        return _accepted(await self._ask(lambda ledger: ledger.end(kind, name, amount, now)))

    async def _tell(self, entry: Entry) -> None:
        """Append an event for every mark, once: its id is made of its place in the ledger.

        The spend is done and answered, whatever becomes of the events; they are sent again with
        the same call, and `crossed` stays in the ledger.
        """
        for n, crossed in enumerate(entry.crossed):
            event = {
                "event_id": f"budget-{entry.sequence}-{n}",
                "event_type": EVENT_TYPE,
                "payload": {
                    "account": crossed.account,
                    "window": crossed.window,
                    "period": crossed.period,
                    "threshold": crossed.threshold,
                    "mark": crossed.mark,
                    "used": crossed.used,
                    "unit": entry.unit,
                    "id": entry.id,
                },
            }
            try:
                await self._append(EVENTS, event, self._context)
            except (NoRouteConfigured, EventConflict):
                pass  # nobody wants them here; or another caller has told
            except EventspineError as error:
                log.warning("no %s event for %s: %s", EVENT_TYPE, crossed.account, error)

    async def _ask(self, decide: Callable[[Ledger], Decision[A]]) -> A:
        return await self._journals.ask(ResourceKind.BUDGET_STORE, LEDGER, self._context, decide)


def _spend(kind: str, id: str, accounts: str | Sequence[str], unit: str, amount: int) -> Spend:
    return Spend(
        kind, checked_id(id, "id"), checked_accounts(accounts), checked_id(unit, "unit"), amount
    )


def _accepted(answer: Entry | CallerError) -> Entry:
    """The entry, if there is one: a refusal that had something to write down was answered."""
    if isinstance(answer, CallerError):
        raise answer
    return answer


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
