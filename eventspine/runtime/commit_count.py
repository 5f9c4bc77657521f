"""What a writer has committed, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Sized(Protocol):
    size: int


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    batches: int
    items: int
    bytes: int
    bytes_waiting: int
    batch_items_max: int
    commit_s_total: float
    commit_s_max: float
    refusals: int
    failed: bool


class CommitCount:
    """By the thread or by the loop, of which one at a time commits."""

    __slots__ = ("batches", "bytes", "items", "items_max", "refusals", "took_s", "took_s_max")

    def __init__(self) -> None:
        self.batches = self.items = self.bytes = self.items_max = self.refusals = 0
        self.took_s = self.took_s_max = 0.0

    def add(self, batch: Sequence[Sized], took_s: float) -> None:
        self.batches += 1
        self.items += len(batch)
        self.bytes += sum([item.size for item in batch])
        self.items_max = max(self.items_max, len(batch))
        self.took_s += took_s
        self.took_s_max = max(self.took_s_max, took_s)

    def statistics(self, *, bytes_waiting: int, failed: bool) -> WriterStatistics:
        return WriterStatistics(
            batches=self.batches,
            items=self.items,
            bytes=self.bytes,
            bytes_waiting=bytes_waiting,
            batch_items_max=self.items_max,
            commit_s_total=self.took_s,
            commit_s_max=self.took_s_max,
            refusals=self.refusals,
            failed=failed,
        )
