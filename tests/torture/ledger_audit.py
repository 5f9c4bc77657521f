"""Whether a usage ledger is what it promises, from the lines of its file alone.

Job: read `ledger.jsonl` line by line with nothing but `json`, add it up again, and say what is
wrong. It shares no code with the state machine that wrote it, and no idea either: no heaps, no
counters by window, only sums over what was read so far.
Rules it looks for: sequences without gap; no spend that adds leaves a limit passed that held then,
in any window, at any level above; an id is begun once and ended once, as its kind may; what expires
was overdue, what is committed was not; what was acknowledged is there once, as acknowledged, and
what was refused is not there at all.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_CHARS = {"total": 0, "month": 7, "day": 10, "hour": 13}  # of a time, for the period of a window
_ENDS = ("commit", "release", "expire")


@dataclass
class Told:
    """What clients were told: entries by (kind, id), and the ids of spends that were refused."""

    entries: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


class LedgerAudit:
    """The sums of a ledger, and what is wrong with it.

    Args:
        policies: amounts by account, unit and window that held all along, and are not in the file.
    """

    def __init__(self, policies: Mapping[tuple[str, str, str], int] | None = None) -> None:
        self._policies = policies or {}
        self.wrong: list[str] = []
        self.count = 0
        self._begun: dict[str, dict[str, Any]] = {}
        self._ended: dict[str, dict[str, Any]] = {}
        self._limits: dict[tuple[str, str, str], int | None] = {}
        self._posted: dict[tuple[str, str, str, str], int] = defaultdict(int)
        self._pending: dict[tuple[str, str, str, str], int] = defaultdict(int)

    def read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            record = json.loads(line)
            self.count += 1
            if record["sequence"] != self.count:
                self._say(record, f"stands at {self.count}")
            if record["type"] == "limit":
                where = (record["account"], record["unit"], record["window"])
                self._limits[where] = record.get("amount")
            else:
                self._entry(record)

    def used(self, account: str, unit: str, window: str, at: str) -> tuple[int, int]:
        """Posted and pending of an account, in the period of a window that a time lies in."""
        where = (account, unit, window, at[: _CHARS[window]])
        return self._posted[where], self._pending[where]

    def compare(self, told: Told) -> None:
        """What was told is there, once and as told; what was refused is not."""
        for (kind, name), entry in told.entries.items():
            found = self._ended.get(name) if kind in _ENDS else self._begun.get(name)
            if found is None or found["kind"] != kind:
                self._say(entry, "was acknowledged and is not there")
                continue
            for member in ("sequence", "posted", "pending", "unit", "accounts", "charged_at"):
                if found[member] != entry[member]:
                    self._say(found, f"{member} was told as {entry[member]}")
        for name in sorted(told.refused & self._begun.keys()):
            self._say(self._begun[name], "was refused and is there")

    def _say(self, record: Mapping[str, Any], what: str) -> None:
        name = record.get("id", record.get("account"))
        self.wrong.append(f"{record.get('sequence')}: {record.get('kind', 'limit')} {name}: {what}")

    def _entry(self, entry: dict[str, Any]) -> None:
        name, kind = entry["id"], entry["kind"]
        if kind in _ENDS:
            self._end(entry)
            if name in self._ended:
                self._say(entry, "is ended twice")
            self._ended[name] = entry
        else:
            if name in self._begun:
                self._say(entry, "is there twice")
            self._begun[name] = entry
        self._add(entry)

    def _end(self, entry: dict[str, Any]) -> None:
        held = self._begun.get(entry["id"])
        if held is None or held["kind"] != "reserve":
            self._say(entry, "ends what was never reserved")
            return
        if entry["pending"] != -held["pending"]:
            self._say(entry, f"returns {-entry['pending']} of {held['pending']}")
        most = held["pending"] if entry["kind"] == "commit" else 0
        if not 0 <= entry["posted"] <= most:
            self._say(entry, f"posts {entry['posted']} of {most}")
        for member in ("unit", "accounts", "charged_at"):
            if entry[member] != held[member]:
                self._say(entry, f"has another {member} than what it ends")
        if (held["expires_at"] <= entry["at"]) != (entry["kind"] == "expire"):
            self._say(entry, f"at {entry['at']}, due at {held['expires_at']}")

    def _add(self, entry: dict[str, Any]) -> None:
        unit, at = entry["unit"], entry["charged_at"]
        for account in _above(entry["accounts"]):
            for window, chars in _CHARS.items():
                where = (account, unit, window, at[:chars])
                self._posted[where] += entry["posted"]
                self._pending[where] += entry["pending"]
                used = self._posted[where] + self._pending[where]
                adds = entry["posted"] + entry["pending"] > 0
                for limits in (self._limits, self._policies):
                    limit = limits.get((account, unit, window))
                    if adds and limit is not None and used > limit:
                        self._say(entry, f"leaves {account} at {used} of {limit} in its {window}")


def _above(accounts: Iterable[str]) -> set[str]:
    """Every account that a spend counts for."""
    found = set()
    for account in accounts:
        names = account.split("/")
        found |= {"/".join(names[:n]) for n in range(1, len(names) + 1)}
    return found
