"""What a random request is drawn from: a pool of names so small that two programs meet.

Rule: a request is drawn without looking at any answer, so that the same seed is the same program in
every company.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

# case twins, what looks like a path, an escape or another id, and what a file system may fold
NAMES = (
    *("a", "A", "a/b", "..", "%2e", "a%2fb", "a@b", "_", "~", "a b", "ä", "a\u0308", "ÅΩ", "CON"),
    "日本",
)
TIMES = tuple(f"2026-11-24T10:{minute:02d}:00Z" for minute in (0, 1, 30, 59))


class Request(NamedTuple):
    """`events`: how many to read of an answer that does not end."""

    operation: str
    method: str
    path: str
    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    content: bytes = b""
    events: int = 0


class Who(NamedTuple):
    """Whose program it is, and a word that everything it stores says."""

    tenant_id: str
    env: str
    project_id: str
    surface_id: str
    mark: str

    @property
    def headers(self) -> dict[bytes, bytes]:
        return {
            b"x-tenant-id": self.tenant_id.encode(),
            b"x-env": self.env.encode(),
            b"x-mode": b"lab",
            b"x-project-id": self.project_id.encode(),
            b"x-surface-id": self.surface_id.encode(),
        }


class Draw:
    """Draws requests of one program."""

    def __init__(self, rng: random.Random, who: Who) -> None:
        self.rng = rng
        self.who = who
        self._fresh = 0

    def fresh(self) -> str:
        """A name this program has not used, and every other begins with as well."""
        self._fresh += 1
        return f"new/{self._fresh}"

    def name(self) -> str:
        return self.rng.choice(NAMES)

    def of(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def some(self, **params: Any) -> dict[str, str]:
        """Each of them or not."""
        return {name: str(value) for name, value in params.items() if self.rng.random() < 0.5}

    def value(self) -> Any:
        return {"n": self.rng.randrange(100), "of": self.who.mark}

    def version(self) -> dict[str, str]:
        """Mostly no condition."""
        stated: dict[str, str] = self.of(
            {}, {}, {}, {"if-none-match": "*"}, {"if-match": f'"{self.of(1, 2, 3)}"'}
        )
        return stated

    def cursor(self) -> str:
        return f"{1:016d}_{self.rng.randrange(6):016d}"


Generator = Callable[[Draw], Request]


def escaped(name: str) -> str:
    """One segment of an address; dots too, which clients would resolve."""
    return quote(name, safe="").replace(".", "%2E")


def as_json(value: Any) -> dict[str, Any]:
    return {
        "content": json.dumps(value).encode(),
        "headers": {"content-type": "application/json"},
    }


def json_with(value: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    sent = as_json(value)
    return {**sent, "headers": {**sent["headers"], **headers}}


def rows_of(draw: Draw, name: str, path: str) -> Request:
    """A page of what has keys."""
    params = draw.some(prefix=draw.of("a", "..", "ä", "a/"), after=draw.name(), limit=draw.of(1, 4))
    return Request(name, "GET", path, params)
