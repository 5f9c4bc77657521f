"""What was measured of one comparison: every round of every row, and the medians."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from bench.stage import Column

FAILED = "failed: "
NO_CONTENDERS = {"flat", "hot_tenant", "stalled_readers", "kinds/route"}


@dataclass(slots=True)
class Result:
    """One table. The first row is ours; `missing` says why a row has no figures."""

    key: str
    title: str
    columns: tuple[Column, ...]
    load_average: float = 0.0
    rows: list[str] = field(default_factory=list)
    figures: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> tuple[float, ...]:
        """KeyError where the row has no figures."""
        return tuple(map(statistics.median, zip(*self.figures[name], strict=True)))

    def value(self, name: str, column: str) -> float:
        """A median; "" is our row."""
        names = [known.name for known in self.columns]
        return self.median(name or self.rows[0])[names.index(column)]

    def ratio(self, name: str) -> float:
        """Ours against another's, in the first column: the median of the ratios of the rounds."""
        ours, theirs = self.figures[self.rows[0]], self.figures[name]
        return statistics.median([a[0] / b[0] for a, b in zip(ours, theirs, strict=False) if b[0]])

    @property
    def failed(self) -> dict[str, str]:
        """Of the missing rows, those that tried."""
        return {name: why for name, why in self.missing.items() if why.startswith(FAILED)}

    @property
    def compares(self) -> bool:
        """Whether rows are contenders, rather than sizes of one of them."""
        return self.key not in NO_CONTENDERS and len(self.rows) > 1

    def as_dict(self) -> dict[str, Any]:
        names = [column.name for column in self.columns]
        return {
            "key": self.key,
            "title": self.title,
            "load_average": self.load_average,
            "missing": self.missing,
            "contenders": {
                name: {
                    "client": self.clients.get(name, ""),
                    "rounds": [dict(zip(names, row, strict=True)) for row in self.figures[name]],
                    "median": dict(zip(names, self.median(name), strict=True)),
                }
                for name in self.figures
            },
        }
