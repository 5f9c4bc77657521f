"""What happened in a schedule, in order: a digest of all of it always, the text on demand."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b


class Trace:
    """Args: now_s: the virtual time, on any thread; show: told every line, or None."""

    def __init__(
        self, now_s: Callable[[], float], show: Callable[[str], object] | None = None
    ) -> None:
        self._now_s = now_s
        self.show = show
        self.entries = 0
        self._hash = blake2b(digest_size=8)

    def add(self, who: str, what: str) -> None:
        line = f"{self._now_s():10.6f}  {who:<10} {what}"
        self.entries += 1
        self._hash.update(line.encode() + b"\n")
        if self.show is not None:
            self.show(line)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
