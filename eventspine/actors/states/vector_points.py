"""The points of a collection at one moment, in order of id, and in order of version. Pure.

A version is spent once and for all, so that an index may know a point by it: what is behind the
index is a slice, and what was deleted or replaced is not there any more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter

from eventspine.contracts.vectors import CollectionInfo, VectorPoint

_id, _version = attrgetter("id"), attrgetter("version")


class Points:
    """The points of a moment, which later changes leave as they are: for another thread."""

    def __init__(self, info: CollectionInfo, points: tuple[VectorPoint, ...]) -> None:
        self.info = info
        self._points = points
        self._by_id: list[VectorPoint] | None = None
        self._all: list[VectorPoint] | None = None

    def __len__(self) -> int:
        return len(self._points)

    @property
    def by_id(self) -> list[VectorPoint]:
        """In order of id. Sorted by who asks first; two who do so at once find the same."""
        if self._by_id is None:
            self._by_id = sorted(self._points, key=_id)
        return self._by_id

    @property
    def all(self) -> list[VectorPoint]:
        """In order of version; likewise."""
        if self._all is None:
            self._all = sorted(self._points, key=_version)
        return self._all

    def up_to(self, version: int) -> list[VectorPoint]:
        """Those whose latest change has this number, or a lower one."""
        return self.all[: self.count_up_to(version)]

    def behind(self, version: int) -> list[VectorPoint]:
        """Those that were written after the change of this number."""
        return self.all[self.count_up_to(version) :]

    def count_up_to(self, version: int) -> int:
        return bisect_right(self.all, version, key=_version)

    def of(self, versions: Iterable[int]) -> list[VectorPoint]:
        """Those of these versions that are still there, in the order of `versions`."""
        found, points = [], self.all
        for version in versions:
            at = bisect_left(points, version, key=_version)
            if at < len(points) and points[at].version == version:
                found.append(points[at])
        return found
