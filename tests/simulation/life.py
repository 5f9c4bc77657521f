"""What befalls one process, and at which moment of its work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

End = Literal["stop", "kill", "power"]


@dataclass(frozen=True, slots=True)
class Moment:
    """The `nth` time that the disk does `operation` to a path like `pattern`, counting from 1.

    With `later`, so many operations of any kind after that.
    What hurts only in one place is hardly ever met by counting operations of all kinds: three
    quarters of them are in other places, and every change of the product moves them about.
    """

    operation: str
    pattern: str
    nth: int
    later: int = 0

    def counting(self) -> Callable[[str, Path], bool]:
        """From now on; True once, when it has come."""
        left, later = self.nth, self.later

        def has_come(operation: str, path: Path) -> bool:
            nonlocal left, later
            if left == 0:
                later -= 1
            elif operation == self.operation and path.match(self.pattern):
                left -= 1
            return left == later == 0

        return has_come


@dataclass(frozen=True, slots=True)
class Life:
    """What befalls one process.

    Attributes:
        end: how it ends.
        after_s: when it ends, if it does not end before.
        crash_after: operations of the disk until the crash; None to end between two.
        crash_in: likewise, at a moment of its work; whichever comes first.
        failing_sync, failing_operation: which one from now on fails, once.
        failing_in: likewise, at a moment of its work.
        space_bytes: what is left on the disk, from the start or `full_at_s` or `full_in` on.
        full_at_s: seconds that it has been up when space runs out; 0 for from the start.
        full_in: the moment when space runs out.
        space_s: seconds after which there is space again, counted from `full_at_s`.
        power_too: the power goes as well, after a stop or a kill.
        keeps: whether a power cut keeps by chance some of what was not synced.
    """

    end: End
    after_s: float
    crash_after: int | None = None
    crash_in: Moment | None = None
    failing_sync: int | None = None
    failing_operation: int | None = None
    failing_in: Moment | None = None
    space_bytes: int | None = None
    full_at_s: float = 0.0
    full_in: Moment | None = None
    space_s: float = 0.0
    power_too: bool = False
    keeps: bool = True

    @property
    def has_faults(self) -> bool:
        faults = (self.failing_sync, self.failing_operation, self.failing_in, self.space_bytes)
        return any(fault is not None for fault in faults)

    @property
    def crashes(self) -> bool:
        """Whether it is to end in the middle of its work."""
        return self.crash_after is not None or self.crash_in is not None
