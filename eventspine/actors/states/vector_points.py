"""The points of a collection at one moment, and those up to a version, or behind it. Pure.

A version is spent once and for all, so that an index may know a point by it: what is behind the
index are the last rows, and what was deleted or replaced is not there any more. Rows stand in order
of version, but where a journal was written anew while it changed; then it takes longer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import attrgetter

from eventspine.actors.states.vector_rows import Part
from eventspine.contracts.vectors import CollectionInfo, VectorPoint

_version = attrgetter("version")


class Points:
    """The points of a moment, which later changes leave as they are: for another thread."""

    def __init__(self, info: CollectionInfo, parts: Sequence[Part]) -> None:
        self.info = info
        self.parts = parts
        self._count = sum([part.live for part in parts])
        self._lows = [part.low for part in parts]
        self._in_order = all(part.block.in_order for part in parts) and all(
            one.high < other.low for one, other in pairwise(parts)
        )
        self._found: dict[int, VectorPoint] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def all(self) -> list[VectorPoint]:
        """In order of version."""
        return self.behind(-1)

    def up_to(self, version: int) -> list[VectorPoint]:
        """Those whose latest change has this number, or a lower one, in order of version."""
        parts = [part for part in self.parts if part.low <= version]
        return sorted(
            [one for part in parts for one in part.points if one.version <= version], key=_version
        )

    def behind(self, version: int) -> list[VectorPoint]:
        """Those that were written after the change of this number, in order of version."""
        parts = [part for part in self.parts if part.high > version]
        return sorted(
            [one for part in parts for one in part.points if one.version > version], key=_version
        )

    def count_up_to(self, version: int) -> int:
        count = 0
        for part in self.parts:
            if part.high <= version:
                count += part.live
            elif part.low <= version:
                count += sum([one.version <= version for one in part.points])
        return count

    def of(self, versions: Iterable[int]) -> list[VectorPoint]:
        """Those of these versions that are still there, in the order of `versions`."""
        look = self._look if self._in_order else self._by_version.get
        return [point for version in versions if (point := look(version)) is not None]

    def _look(self, version: int) -> VectorPoint | None:
        at = bisect_right(self._lows, version) - 1
        if at < 0:
            return None
        part = self.parts[at]
        points = part.block.points
        row = version - points[0].version  # unless a change in between was of no point here
        if not (0 <= row < part.length and points[row].version == version):
            row = bisect_left(points, version, hi=part.length, key=_version)
        if row == part.length or points[row].version != version:
            return None
        return None if part.dead is not None and part.dead[row] else points[row]

    @property
    def _by_version(self) -> dict[int, VectorPoint]:
        """By whoever asks first; two who do so at once find the same."""
        if self._found is None:
            self._found = {one.version: one for part in self.parts for one in part.points}
        return self._found
