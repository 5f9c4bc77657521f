"""Budgets: accounts, windows, limits, and the entries of a usage ledger. Source: KIND-05, SYS-16.

Amounts are whole numbers of micro-units (1_000_000 is one of the unit: a dollar, a token). An
account is a path, `acme/web/ann`; what is spent there counts for `acme` and `acme/web` as well.
Windows are those of the UTC calendar: `hour`, `day`, `month`, and `total`, which never ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import msgspec

from eventspine.contracts.errors import InvalidId, InvalidRequest
from eventspine.contracts.ids import checked_id

AMOUNT_MAX = 2**53 - 1  # the largest whole number that every reader of JSON has
ACCOUNTS_MAX = 8
LEVELS_MAX = 8
TIMEOUT_S_MAX = 366 * 86_400
PERCENT_MAX = 1000
THRESHOLDS = (50, 80, 100)
UNIT = "usd"
SOFT = "soft"
_PERIOD_CHARS = {"total": 0, "month": 7, "day": 10, "hour": 13}
WINDOWS = tuple(_PERIOD_CHARS)


class Crossed(msgspec.Struct, frozen=True):
    """A mark that a spend has reached, for the first time in its period.

    `threshold`: per cent of the limit, or "soft". `used`: posted and pending after the spend.
    """

    account: str
    window: str
    period: str
    threshold: int | str
    mark: int
    used: int


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, tag="entry", gc=False):
    """One line of the ledger: what it added to `posted` and to `pending` of every account above.

    `at`: when it was written. `charged_at`: in whose windows it counts; a commit counts where its
    reservation did. `sequence`: its place in the ledger, which the ledger gives.
    """

    kind: str  # reserve, commit, release, expire, record, adjust
    id: str
    accounts: tuple[str, ...]
    unit: str
    posted: int
    pending: int
    at: str
    charged_at: str
    timeout_s: float | None = None
    expires_at: str | None = None
    reason: str | None = None
    crossed: tuple[Crossed, ...] = ()
    sequence: int = 0

    def as_json(self) -> dict[str, Any]:
        known: dict[str, Any] = msgspec.to_builtins(self)
        known.pop("type")
        known.pop("sequence", None)
        crossed = known.pop("crossed", [])
        return {**known, "crossed": crossed, "sequence": self.sequence}


class Limit(msgspec.Struct, frozen=True, omit_defaults=True, tag="limit"):
    """What an account may use in a window. `amount` is never passed; `soft` only tells.

    Neither: there is no limit any more.
    """

    account: str
    window: str
    unit: str
    amount: int | None
    soft: int | None
    thresholds: tuple[int, ...]
    at: str

    @property
    def marks(self) -> list[tuple[int | str, int]]:
        """What to tell of, with the use at which to tell it, in rising order."""
        whole = self.soft if self.amount is None else self.amount
        found: list[tuple[int | str, int]] = []
        if whole is not None:
            found = [(percent, -(-whole * percent // 100)) for percent in self.thresholds]
        if self.soft is not None:
            found.append((SOFT, self.soft))
        return sorted(found, key=lambda one: one[1])

    def as_json(self) -> dict[str, Any]:
        known: dict[str, Any] = msgspec.to_builtins(self)
        known.pop("type")
        return known


class Held(Protocol):
    """A limit that holds (contracts/budget_policy.py)."""

    @property
    def source(self) -> str: ...
    def as_json(self) -> dict[str, Any]: ...


class Balance(NamedTuple):
    """What an account has used in one window. `available`: None where no hard limit is set.

    `limit`, `soft`: the least of those of `limits`, which are all that hold, with their source.
    """

    account: str
    unit: str
    window: str
    period: str
    posted: int
    pending: int
    limit: int | None
    soft: int | None
    available: int | None
    limits: tuple[Held, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**self._asdict(), "limits": [one.as_json() for one in self.limits]}


class EntryPage(NamedTuple):
    """Entries in ledger order; `next` is the `after` of the next page, None at the end."""

    entries: list[Entry]
    next: int | None


@lru_cache(maxsize=4096)
def periods(at: str) -> dict[str, str]:
    """The period of every window that a time lies in: `2026-11`, `2026-11-24`, `2026-11-24T10`."""
    return {window: at[:chars] for window, chars in _PERIOD_CHARS.items()}


@lru_cache(maxsize=65_536)
def levels(accounts: tuple[str, ...]) -> tuple[str, ...]:
    """Every account that a spend on these counts for, each once, the upper ones first."""
    found: dict[str, None] = {}
    for account in accounts:
        parts = account.split("/")
        found.update(dict.fromkeys("/".join(parts[: n + 1]) for n in range(len(parts))))
    return tuple(found)


# --- what callers state -------------------------------------------------------------------


def checked_account(value: object) -> str:
    """`value` if it can be an account: 1 to 8 names with a / between. Raises InvalidId."""
    account = checked_id(value, "account")
    parts = account.split("/")
    if "" in parts or len(parts) > LEVELS_MAX:
        raise InvalidId(f"an account is 1 to {LEVELS_MAX} names with a / between", field="account")
    return account


def checked_accounts(value: str | Sequence[str]) -> tuple[str, ...]:
    """One account or several, each once. Raises InvalidId, InvalidRequest."""
    accounts = (value,) if isinstance(value, str) else tuple(value)
    if not 1 <= len(accounts) <= ACCOUNTS_MAX:
        raise InvalidRequest(f"a spend names 1 to {ACCOUNTS_MAX} accounts", parameter="accounts")
    return tuple(dict.fromkeys(checked_account(account) for account in accounts))


def checked_window(value: object) -> str:
    if value not in _PERIOD_CHARS:
        raise InvalidRequest(f"window must be one of {', '.join(WINDOWS)}", parameter="window")
    return str(value)


def checked_amount(value: object, least: int, what: str = "amount") -> int:
    """`value` if it is a whole number of micro-units. Raises InvalidRequest."""
    if type(value) is not int:
        raise InvalidRequest(f"{what} must be a whole number of micro-units", parameter=what)
    if not least <= value <= AMOUNT_MAX:
        raise InvalidRequest(f"{what} must be from {least} to {AMOUNT_MAX}", parameter=what)
    return value


def checked_thresholds(values: Sequence[int]) -> tuple[int, ...]:
    """Per cents, each once, rising. Raises InvalidRequest."""
    good = all(type(value) is int and 1 <= value <= PERCENT_MAX for value in values)
    if not good or len(values) > 16:
        raise InvalidRequest(
            f"thresholds are at most 16 per cents from 1 to {PERCENT_MAX}", parameter="thresholds"
        )
    return tuple(sorted(set(values)))
