"""What a torture run did and found, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eventspine.client.replay.ledger import quantile
from eventspine.contracts.version import VERSION
from tests.torture.evidence import record


@dataclass(slots=True)
class Report:
    """Counts of one run, written where the environment says.

    $EVENTSPINE_TORTURE_REPORT is a folder, for a file of each run; $EVENTSPINE_TORTURE_EVIDENCE the
    page of evidence.py, where each kind of fault has its section.
    """

    name: str
    seed: int
    data: str = ""
    faults: dict[str, int] = field(default_factory=dict)
    ready_s: list[float] = field(default_factory=list)
    stop_s: list[float] = field(default_factory=list)
    cycle_s: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    violations: int = 0
    finished: bool = False  # whether the judgement came to its end

    def fault(self, name: str) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        values = asdict(self)
        for name in ("ready_s", "stop_s", "cycle_s"):
            values[name] = _spread(values[name])
        machine = (
            f"{os.cpu_count()} cores, {platform.release()}, Python {platform.python_version()}"
        )
        return {
            **values,
            "machine": machine,
            "version": _version(),
            "when": datetime.now(UTC).isoformat("T", "seconds"),
        }

    def done(self) -> None:
        """The judgement is over."""
        self.finished = True
        self.write()

    def write(self) -> None:
        """Also while it goes wrong: a run that did not end says so."""
        page = os.environ.get("EVENTSPINE_TORTURE_EVIDENCE")
        if page:
            rounds = os.environ.get("EVENTSPINE_TORTURE_ROUNDS", "25")
            record(Path(page), self.as_dict(), f"make torture N={rounds}")
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


def _version() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return f"eventspine {VERSION} {done.stdout.strip()}".strip()


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "count": len(ordered),
        "p50": round(quantile(ordered, 0.5), 3),
        "p99": round(quantile(ordered, 0.99), 3),
        "max": round(ordered[-1], 3) if ordered else 0.0,
    }
