"""What a torture run did and found, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventspine.client.replay.ledger import quantile


@dataclass(slots=True)
class Report:
    """Counts of one run. Written to $EVENTSPINE_TORTURE_REPORT, a folder, when that is named."""

    name: str
    seed: int
    data: str = ""
    faults: dict[str, int] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)
    cycle_s: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    violations: int = 0

    def fault(self, name: str) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        for name in ("ready_s", "stop_s", "cycle_s"):
            values[name] = _spread(values[name])
        machine = (
            f"{os.cpu_count()} cores, {platform.release()}, Python {platform.python_version()}"
        )
        return {**values, "machine": machine, "when": datetime.now(UTC).isoformat("T", "seconds")}

    def write(self) -> None:
        named = os.environ.get("EVENTSPINE_TORTURE_REPORT")
        if not named:
            return
        folder = Path(named)
        folder.mkdir(parents=True, exist_ok=True)
        base = folder / f"{self.name}-{self.seed}"
        base.with_suffix(".json").write_text(json.dumps(self.as_dict(), indent=2) + "\n")
        base.with_suffix(".md").write_text(self.as_markdown())

    def as_markdown(self) -> str:
        values = self.as_dict()
        faults = ", ".join(f"{count} {name}" for name, count in self.faults.items())
        lines = [f"## {self.name}, seed {self.seed}", "", "| what | how much |", "| --- | --- |"]
        lines += [f"| faults | {faults} |", f"| violations | {self.violations} |"]
        lines += [f"| {name} | {value:,} |" for name, value in self.figures.items()]
        for name in ("ready_s", "stop_s", "cycle_s"):
            if values[name]["count"]:
                spread = ", ".join(f"{key} {value}" for key, value in values[name].items())
                lines.append(f"| {name} | {spread} |")
        lines += [f"| data | {self.data} |", f"| machine | {values['machine']} |"]
        return "\n".join(lines) + "\n"


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "p50": round(quantile(ordered, 0.5), 3),
        "p99": round(quantile(ordered, 0.99), 3),
        "max": round(ordered[-1], 3) if ordered else 0.0,
    }
