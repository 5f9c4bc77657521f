"""Stored lines and commits for tests that speak to a store without an actor."""

from __future__ import annotations

from collections.abc import Sequence

from eventspine.contracts.cursor import Cursor
from eventspine.contracts.stores import CommitKind, StreamCommit

REST = (
    b'"ts":"2026-11-22T13:05:01.123Z","event_type":"t","stream_id":"s","routing":{"tenant_id":"t","env":"e","mode":"lab",'
    b'"project_id":"default"},"metadata":{},'
)


def line_of(
    sequence: int, *, epoch: int = 1, event_id: str | None = None, payload: bytes = b"{}"
) -> bytes:
    event_id = event_id or f"id-{epoch}-{sequence}"
    head = f'{{"sequence":{sequence},"cursor":"{Cursor(epoch, sequence)}","event_id":"{event_id}",'
    return b'%b%b"payload":%b}' % (head.encode(), REST, payload)


def lines_of(first: int, count: int, *, epoch: int = 1, size: int = 2) -> list[bytes]:
    payload = b'{"a":"%b"}' % (b"x" * size)
    return [line_of(first + n, epoch=epoch, payload=payload) for n in range(count)]


def events(key: str, first: int, lines: Sequence[bytes], *, epoch: int = 1) -> StreamCommit:
    return StreamCommit(key, "lab", epoch, first, lines)


def closing(key: str, next_sequence: int, *, epoch: int = 1) -> StreamCommit:
    return StreamCommit(key, "lab", epoch, next_sequence, [], CommitKind.CLOSE)


def deleting(key: str, next_sequence: int, *, epoch: int = 1) -> StreamCommit:
    return StreamCommit(key, "lab", epoch, next_sequence, [], CommitKind.DELETE)
