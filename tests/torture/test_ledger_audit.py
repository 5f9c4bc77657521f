"""The audit of a ledger finds every way in which one can be wrong, and nothing in a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.torture.ledger_audit import LedgerAudit, Told

Line = dict[str, Any]
AT = "2026-11-24T10:00:00.000Z"
LATER = "2026-11-24T10:00:09.000Z"


def limit(account: str, amount: int | None, window: str = "total") -> Line:
    return {"type": "limit", "account": account, "unit": "u", "window": window, "amount": amount}


def entry(kind: str, name: str, posted: int, pending: int, **more: Any) -> Line:
    made = {
        "type": "entry",
        "kind": kind,
        "id": name,
        "accounts": ["org/web/ann"],
        "unit": "u",
        "posted": posted,
        "pending": pending,
        "at": AT,
        "charged_at": AT,
    }
    if kind == "reserve":
        made["expires_at"] = "2026-11-24T10:00:05.000Z"
    return {**made, **more}


GOOD: list[Line] = [
    limit("org", 100),
    limit("org/web", 60, "hour"),
    entry("reserve", "a", 0, 60),
    entry("commit", "a", 40, -60),
    entry("record", "b", 20, 0),
    entry("reserve", "c", 0, 0, accounts=["org/shop"]),
    entry("expire", "c", 0, 0, accounts=["org/shop"], at=LATER),
    entry("adjust", "d", -10, 0),
    entry("reserve", "e", 0, 10),
    entry("release", "e", 0, -10),
]


def audited(lines: list[Line], told: Told | None = None) -> LedgerAudit:
    audit = LedgerAudit()
    audit.read(json.dumps({"sequence": n, **one}).encode() for n, one in enumerate(lines, 1))
    audit.compare(told or Told())
    return audit


def test_a_good_ledger_is_good_and_adds_up() -> None:
    audit = audited(GOOD)
    assert audit.wrong == []
    assert audit.used("org", "u", "total", AT) == (50, 0)
    assert audit.used("org/web", "u", "hour", AT) == (50, 0)
    assert audit.used("org/web", "u", "hour", "2026-11-24T11:00:00.000Z") == (0, 0)


BAD: dict[str, Callable[[list[Line]], None]] = {
    "leaves org/web at 61 of 60 in its hour": lambda g: g[4].update(posted=21),
    "leaves org at 51 of 50 in its total": lambda g: g.__setitem__(
        slice(0, 5), [limit("org", 50), entry("record", "b", 51, 0)]
    ),
    "is there twice": lambda g: g.append(entry("record", "b", 1, 0)),
    "is ended twice": lambda g: g.append(entry("release", "a", 0, -60)),
    "ends what was never reserved": lambda g: g.append(entry("commit", "b", 1, 0)),
    "posts 61 of 60": lambda g: g[3].update(posted=61),
    "posts 1 of 0": lambda g: g[9].update(posted=1),
    "returns 59 of 60": lambda g: g[3].update(pending=-59),
    "has another charged_at": lambda g: g[3].update(charged_at=LATER),
    "stands at 3": lambda g: g[2].update(sequence=4),
    "due at": lambda g: g[3].update(at=LATER),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_with_a_ledger_is_found(what: str) -> None:
    bad = [dict(one) for one in GOOD]
    BAD[what](bad)
    assert any(what in said for said in audited(bad).wrong), audited(bad).wrong


def test_a_policy_that_is_passed_is_found() -> None:
    audit = LedgerAudit({("org/web/ann", "u", "day"): 59})
    audit.read(json.dumps({"sequence": n, **one}).encode() for n, one in enumerate(GOOD, 1))
    assert len(audit.wrong) == 3, "each spend that filled it up"
    assert all("leaves org/web/ann at 60 of 59 in its day" in said for said in audit.wrong)


def test_an_expiry_before_its_time_is_found() -> None:
    bad = [dict(one) for one in GOOD]
    bad[6]["at"] = AT
    assert any("due at" in said for said in audited(bad).wrong)


def test_what_clients_were_told_has_to_be_there() -> None:
    told = {**entry("record", "b", 20, 0), "sequence": 5}
    held = {**entry("reserve", "a", 0, 60), "sequence": 3}
    assert audited(GOOD, Told({("record", "b"): told, ("reserve", "a"): held})).wrong == []
    for bad, what in [
        (Told({("record", "z"): {**told, "id": "z"}}), "acknowledged and is not there"),
        (Told({("release", "a"): {**held, "kind": "release"}}), "acknowledged and is not there"),
        (Told({("record", "b"): {**told, "posted": 19}}), "posted was told as 19"),
        (Told({("record", "b"): {**told, "sequence": 6}}), "sequence was told as 6"),
        (Told({}, {"b"}), "was refused and is there"),
    ]:
        assert any(what in said for said in audited(GOOD, bad).wrong), what
