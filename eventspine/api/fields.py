"""The header fields of one request, looked through once.

Field values are bytes on the wire. Ours are read as UTF-8 (what curl, Python and proxies send);
anything else is refused rather than guessed, so that a tenant can never be spelt in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventspine.contracts.errors import InvalidRequest


class Fields:
    """Each field by its lower-case name; repeated fields keep every value."""

    __slots__ = ("_first", "_repeated")

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._first: dict[bytes, bytes] = {}
        self._repeated: dict[bytes, list[bytes]] = {}
        first = self._first
        for name, value in raw:
            if name in first:
                self._repeated.setdefault(name, [first[name]]).append(value)
            else:
                first[name] = value

    def __contains__(self, name: bytes) -> bool:
        return name in self._first

    def get(self, name: bytes) -> bytes | None:
        """The first value, without a look at any further one."""
        return self._first.get(name)

    def all(self, name: bytes) -> list[bytes]:
        if name in self._repeated:
            return self._repeated[name]
        value = self._first.get(name)
        return [] if value is None else [value]

    def joined(self, name: bytes) -> str:
        """Every value of a list-valued field as one list (RFC 9110 section 5.3)."""
        return ", ".join([value.decode("latin-1") for value in self.all(name)])

    def text(self, name: bytes) -> str | None:
        """The one value as text. Raises InvalidRequest: two that differ, or not UTF-8."""
        if name not in self._first:
            return None
        values = {value.strip(b" \t") for value in self.all(name)}
        if len(values) > 1:
            raise InvalidRequest(f"{shown(name)} is sent twice and differs", parameter=shown(name))
        return decoded(name, values.pop())


def decoded(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{shown(name)} is not UTF-8", parameter=shown(name)) from None


def shown(name: bytes) -> str:
    """`x-tenant-id` as the documentation spells it."""
    return "-".join([part.capitalize() for part in name.decode("latin-1").split("-")])
