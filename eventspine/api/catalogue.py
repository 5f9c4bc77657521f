"""Every error the front can answer, as rows: for /docs/errors, OpenAPI and PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from eventspine.api.problem import INTERNAL_CODE, INTERNAL_REMEDY, INTERNAL_TITLE, STATUS
from eventspine.contracts.errors import EventspineError

_OF_A_SERVER = ("eventspine.contracts.", "eventspine.api.")


class Row(NamedTuple):
    code: str
    status: int
    title: str
    remedy: str
    outcome: str


def leaves(cls: type[EventspineError] = EventspineError) -> Iterator[type[EventspineError]]:
    """The classes of the tree that are raised: those nothing derives from.

    Without those of the client, which no server answers, whether or not it was imported.
    """
    below = [sub for sub in cls.__subclasses__() if sub.__module__.startswith(_OF_A_SERVER)]
    if not below:
        yield cls
    for sub in below:
        yield from leaves(sub)


def catalogue() -> list[Row]:
    """By status, then code."""
    rows = [
        Row(cls.code, STATUS[cls], cls.title, cls.remedy, cls.outcome)
        for cls in STATUS
        if not any(other is not cls and issubclass(other, cls) for other in STATUS)
    ]
    rows.append(Row(INTERNAL_CODE, 500, INTERNAL_TITLE, INTERNAL_REMEDY, "unknown"))
    return sorted(rows, key=lambda row: (row.status, row.code))
