"""Budget policies: what the operator lets accounts use, above what a ledger says of itself. Pure.

    {"account": "acme", "window": "month", "amount": 25000000, "tenant_id": "t_acme"}

Rules: a document with an `account` is a limit and has to be a whole one; any other is kept as it is
and limits nothing. It holds for the ledgers of the env, mode and project whose policies it is one
of: of all tenants, or of `tenant_id`; on all surfaces, or on `surface_id`. For an account, unit and
window the most specific ones hold, where a tenant weighs more than a surface; several of the same
weight hold together. One with neither `amount` nor `soft` says: no limit from here.
Source: FN-22, SYS-16, D8.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from eventspine.contracts.budget import (
    THRESHOLDS,
    UNIT,
    Limit,
    checked_account,
    checked_amount,
    checked_thresholds,
    checked_window,
)
from eventspine.contracts.context import Scope
from eventspine.contracts.errors import CallerError, InvalidRequest
from eventspine.contracts.ids import checked_id
from eventspine.contracts.rows import Row
from eventspine.contracts.surface import canonical_surface

LEDGER, POLICY = "ledger", "policy"


class HeldLimit(NamedTuple):
    """A limit that holds, and whose it is: of a policy, or of the ledger itself."""

    limit: Limit
    policy_id: str | None = None

    @property
    def source(self) -> str:
        return LEDGER if self.policy_id is None else POLICY

    def as_json(self) -> dict[str, Any]:
        named = {} if self.policy_id is None else {"policy_id": self.policy_id}
        return {**self.limit.as_json(), "source": self.source, **named}


Policies = Mapping[str, Sequence[HeldLimit]]  # of one scope, by account
NO_POLICIES: Policies = {}


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a policy document says."""

    account: str
    window: str
    amount: int | None = None
    soft: int | None = None
    unit: str = UNIT
    thresholds: tuple[int, ...] = THRESHOLDS
    tenant_id: str | None = None
    surface_id: str | None = None
    reason: str | None = None

    def weight(self, scope: Scope) -> int | None:
        """How specific it is for a scope; None: it is not for that one."""
        if self.tenant_id not in (None, scope.tenant_id):
            return None
        if self.surface_id is not None and canonical_surface(self.surface_id) != scope.surface_id:
            return None
        return 2 * (self.tenant_id is not None) + (self.surface_id is not None)

    def limit(self, at: str) -> Limit:
        return Limit(
            self.account, self.window, self.unit, self.amount, self.soft, self.thresholds, at
        )


_decode = msgspec.json.Decoder(Policy).decode


def policy_of(json: bytes) -> Policy | None:
    """The policy that a document is, or None: it limits nothing.

    Raises:
        InvalidRequest, InvalidId: it names an account, and is no limit of it.
    """
    document = msgspec.json.decode(json)
    if not isinstance(document, dict) or "account" not in document:
        return None
    try:
        policy = _decode(json)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the policy: {error}", parameter="policy") from None
    checked_account(policy.account)
    checked_window(policy.window)
    checked_id(policy.unit, "unit")
    thresholds = checked_thresholds(policy.thresholds)
    for name in ("amount", "soft"):
        if getattr(policy, name) is not None:
            checked_amount(getattr(policy, name), 0, name)
    for name in ("tenant_id", "surface_id"):
        if getattr(policy, name) is not None:
            checked_id(getattr(policy, name), name)
    return msgspec.structs.replace(policy, thresholds=thresholds)


class PolicySet:
    """The policies of one env, mode and project, as their rows stand."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.wrong: list[str] = []  # written past the policies' own address; they limit nothing
        self._known: list[tuple[Row, Policy]] = []
        for row in rows:
            try:
                policy = policy_of(row.json)
            except CallerError:
                self.wrong.append(row.key)
                continue
            if policy is not None:
                self._known.append((row, policy))

    @property
    def ends(self) -> str | None:
        """When the first of them is not there any more."""
        return min((row.expires_at for row, _ in self._known if row.expires_at), default=None)

    def of(self, scope: Scope) -> Policies:
        """What holds for the ledger of a scope."""
        best: dict[tuple[str, str, str], tuple[int, list[HeldLimit]]] = {}
        for row, policy in self._known:
            weight = policy.weight(scope)
            if weight is None:
                continue
            name = (policy.account, policy.unit, policy.window)
            known, held = best.get(name, (-1, []))
            one = HeldLimit(policy.limit(row.updated_at), row.key)
            if weight > known:
                best[name] = weight, [one]
            elif weight == known:
                held.append(one)
        found: dict[str, list[HeldLimit]] = {}
        for (account, _, _), (_, held) in sorted(best.items()):
            stated = [one for one in held if (one.limit.amount, one.limit.soft) != (None, None)]
            if stated:
                found.setdefault(account, []).extend(stated)
        return found
