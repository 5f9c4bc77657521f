"""AnalyticsRoom: what the analytics stores of one spine share.

Job: lead a scope to its dataset, bring its events before an engine, see to it that not too many
questions are worked on at once and none for too long.
Rules: a question is about everything acknowledged when it began and nothing else: the events up to
the sequence the stream stood at. What segments hold is read from them; the rest from the stream,
which knows what is in the files and what is not there yet, and checks every byte (gathering.py).
Refused: DuckDB reading the JSONL itself. It would meet lines that are half written, and miss those
that are on their way. See docs/decisions/0014-analytics.md.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

import anyio

from eventspine.actors.host import StreamHost
from eventspine.actors.stream import check_mode
from eventspine.contracts.errors import Overloaded, QueryTooExpensive
from eventspine.contracts.limits import Limits
from eventspine.contracts.threads import THREADS, Threads
from eventspine.services.analytics.engine import FilesUnreadable, open_engine
from eventspine.services.analytics.gathering import Gathering
from eventspine.services.analytics.segments import Segments
from eventspine.services.analytics.sql import Statement
from eventspine.services.analytics.turns import Turns
from eventspine.services.audit import Audit
from eventspine.services.bindings import Bindings

log = logging.getLogger(__name__)
DATASETS_MAX = 1024


class Found(NamedTuple):
    """What a statement found, and the cursor of the last event it looked at."""

    rows: list[tuple[Any, ...]]
    head: str


class AnalyticsRoom:
    def __init__(self, bindings: Bindings, limits: Limits) -> None:
        self.bindings = bindings
        self.limits = limits
        self.threads: Threads = THREADS
        self.audit: Audit | None = None
        self._segments: OrderedDict[tuple[str, str], Segments] = OrderedDict()
        self._turns: Turns | None = None

    async def ask(self, host: StreamHost, key: str, mode: str, statement: Statement) -> Found:
        """What a statement finds in a dataset.

        Raises:
            QueryTooExpensive: it takes too long, or too much memory.
            Overloaded: it did not come to its turn in that time.
            ExtraMissing: DuckDB is not installed.
        """
        seconds, begun = self.limits.analytics_query_s_max, False
        with anyio.move_on_after(seconds):
            async with self._turn(key):
                begun = True
                return await self._ask(host, key, mode, statement)
        if begun:
            raise QueryTooExpensive(
                f"no answer within {seconds:g} s", limit="analytics_query_s_max", maximum=seconds
            )
        raise Overloaded(
            f"other questions took longer than {seconds:g} s",
            limit="analytics_queries_max",
            maximum=self.limits.analytics_queries_max,
            retry_after_s=1,
        )

    async def compact(self, host: StreamHost, key: str, mode: str) -> int:
        """Put aside as segments what makes them full. Answers how many events they hold.

        Waits for no turn, and takes none from a question.
        """
        gathering = await self._gathering(host, key, mode)
        segments = await gathering.into(None, self._segments_of(host, key))
        return segments[-1].last if segments else 0

    def _turn(self, key: str) -> AbstractAsyncContextManager[None]:
        if self._turns is None:
            limits = self.limits
            self._turns = Turns(limits.analytics_queries_max, limits.analytics_tenant_queries_max)
        return self._turns.turn(tenant_of(key))

    async def _ask(self, host: StreamHost, key: str, mode: str, statement: Statement) -> Found:
        segments = self._segments_of(host, key)
        try:
            return await self._answer(host, key, mode, statement, segments)
        except FilesUnreadable as error:
            log.warning("%s: %s", key, error)
            segments.forget()
        try:
            return await self._answer(host, key, mode, statement, segments)
        except FilesUnreadable as error:
            raise AssertionError(f"the engine does not take the question: {error}") from error

    async def _answer(
        self, host: StreamHost, key: str, mode: str, statement: Statement, segments: Segments
    ) -> Found:
        gathering = await self._gathering(host, key, mode)
        engine = await open_engine(self.limits, self.threads)
        try:
            used = await gathering.into(engine, segments)
            rows = await engine.ask(statement, segments.paths(used))
        finally:
            await engine.aclose()
        return Found(rows, str(gathering.head))

    async def _gathering(self, host: StreamHost, key: str, mode: str) -> Gathering:
        actor = await host.actor(key)
        check_mode(actor, mode)
        return Gathering(host, actor, self.limits, self.threads)

    def _segments_of(self, host: StreamHost, key: str) -> Segments:
        name = (host.name, key)
        found = self._segments.get(name)
        if found is None:
            if len(self._segments) >= DATASETS_MAX:
                self._forget_one()
            found = self._segments[name] = Segments(host.blobs, f"{key}.parquet", self.threads)
        self._segments.move_to_end(name)
        return found

    def _forget_one(self) -> None:
        """What was asked about least recently, and is not being brought up to date."""
        for name, segments in self._segments.items():
            if not segments.lock.locked():
                del self._segments[name]
                return


def tenant_of(key: str) -> str:
    """The tenant's part of a key: `{kind}/{tenant}/…`."""
    return key.split("/", 2)[1]
