"""DuckDB, as a reader: in memory, for one question, with nothing of the machine in its reach.

Job: a connection that has the events of a question as the relation `events`: lines as they are
stored, and Parquet files made of such lines. It owns no byte and outlives no question.
Rules:
- No file but those it is told of, no extension but those in the library, no configuration any more
  once it is set up; memory as `analytics_query_bytes_max` says, and none of it on a disk.
- Everything runs on a thread. Who stops waiting, or waits too long, has the engine interrupted, and
  goes on when it has stopped.
- Times are TIMESTAMP in UTC. A TIMESTAMPTZ would need pytz, which is no part of DuckDB.
Source: DESIGN decision 14. See docs/decisions/0014-analytics.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from eventspine.contracts.errors import ExtraMissing, QueryTooExpensive
from eventspine.contracts.limits import Limits
from eventspine.contracts.threads import THREADS, Threads
from eventspine.services.analytics.sql import Statement

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
INTERRUPT_EVERY_S = 0.02  # what comes between two statements is not seen by the second
WORKERS = 2
_SHAPE = (
    '{"sequence":"UBIGINT","event_id":"VARCHAR","ts":"TIMESTAMP","event_type":"VARCHAR","payload":'
    '{"user_id":"VARCHAR","anonymous_id":"VARCHAR","session_id":"VARCHAR",'
    '"properties":"MAP(VARCHAR, JSON)"}}'
)
_COLUMNS = (
    "sequence UBIGINT, event_id VARCHAR, ts TIMESTAMP, event VARCHAR, user_id VARCHAR,"
    " anonymous_id VARCHAR, session_id VARCHAR, properties MAP(VARCHAR, VARCHAR)"
)
_LOAD = (
    "INSERT INTO lines SELECT e.sequence, e.event_id, e.ts, e.event_type, e.payload.user_id,"
    " e.payload.anonymous_id, e.payload.session_id,"
    " CAST(e.payload.properties AS MAP(VARCHAR, VARCHAR))"
    f" FROM (SELECT from_json(line, '{_SHAPE}') AS e"
    " FROM (SELECT unnest(string_split($block, chr(10))) AS line))"
)


class Interrupted(Exception):
    """It was told to stop; nobody but `Engine` sees this."""


class FilesUnreadable(Exception):
    """A file that was named is not there any more, or is not what it was."""


class Engine:
    """One connection. Made by `open_engine`, ended by leaving its block."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, limits: Limits, threads: Threads
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._threads = threads
        self._stopped = False

    async def load(self, lines: Sequence[bytes]) -> None:
        """Have these events too: stored lines, as they are."""
        if lines:
            await self._run(self._load, lines)

    def _load(self, lines: Sequence[bytes]) -> None:
        self._execute(_LOAD, {"block": b"\n".join(lines).decode()})

    async def ask(self, statement: Statement, files: Sequence[Path]) -> list[tuple[Any, ...]]:
        """The rows a statement has over the events loaded and those in Parquet files.

        Raises:
            QueryTooExpensive: it needs more memory than a question may have.
            FilesUnreadable: one of the files cannot be read.
        """
        return await self._run(self._ask, statement, files)

    def _ask(self, statement: Statement, files: Sequence[Path]) -> list[tuple[Any, ...]]:
        named = ", ".join(_quoted(path) for path in files)
        if files:
            self._execute(f"SET allowed_paths = [{named}]")
        self._lock_down()
        parquet = f" UNION ALL BY NAME SELECT * FROM read_parquet([{named}])" if files else ""
        self._execute(f"CREATE VIEW events AS SELECT * FROM lines{parquet}")
        return self._execute(statement.text, dict(statement.values)).fetchall()

    async def parquet(self, lines: Sequence[bytes]) -> bytes:
        """These events as a Parquet file."""
        return await self._run(self._parquet, lines)

    def _parquet(self, lines: Sequence[bytes]) -> bytes:
        """By way of a file in memory: a process that is killed leaves nothing behind."""
        self._load(lines)
        fd = os.memfd_create("parquet", os.MFD_CLOEXEC)
        try:
            path = _quoted(Path(f"/proc/self/fd/{fd}"))
            self._execute(f"SET allowed_paths = [{path}]")
            self._lock_down()
            self._execute(
                f"COPY (SELECT * FROM lines ORDER BY sequence) TO {path}"
                " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
            )
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    def _lock_down(self) -> None:
        self._execute("SET enable_external_access = false")
        self._execute("SET lock_configuration = true")

    def _execute(
        self, text: str, values: dict[str, Any] | None = None
    ) -> duckdb.DuckDBPyConnection:
        if self._stopped:
            raise Interrupted
        with _translated(self._limits):
            return self._connection.execute(text, values)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        """Do it on a thread; when nobody waits any more, interrupt it and see it end."""
        done = anyio.Event()
        outcome: list[T] = []
        failure: list[Exception] = []

        def on_thread() -> None:
            try:
                outcome.append(work(*args))
            except Exception as error:  # raised below, outside of the group, which would wrap it
                failure.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._interrupt_if_cancelled, done)
            try:
                await self._threads.run_sync(on_thread)
            finally:
                done.set()
        if failure:
            if isinstance(failure[0], Interrupted):
                await checkpoint_if_cancelled()
            raise failure[0]
        return outcome[0]

    async def _interrupt_if_cancelled(self, done: anyio.Event) -> None:
        try:
            await done.wait()
        finally:
            self._stopped = not done.is_set()
            with anyio.CancelScope(shield=True):
                while not done.is_set():
                    self._connection.interrupt()
                    await anyio.sleep(INTERRUPT_EVERY_S)

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._threads.run_sync(self._connection.close)


async def open_engine(limits: Limits, threads: Threads = THREADS) -> Engine:
    """A connection to nothing. Raises ExtraMissing without the extra `analytics`."""
    with anyio.CancelScope(shield=True):
        connection = await threads.run_sync(_connect, limits)
    return Engine(connection, limits, threads)


def _connect(limits: Limits) -> duckdb.DuckDBPyConnection:
    try:
        import duckdb
    except ImportError:
        raise ExtraMissing("analytics", "analytics") from None
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{limits.analytics_query_bytes_max}B",
            "temp_directory": "",
            "threads": str(WORKERS),
        },
    )
    connection.execute(f"CREATE TABLE lines ({_COLUMNS})")
    return connection


@contextmanager
def _translated(limits: Limits) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.InterruptException:
        raise Interrupted from None
    except duckdb.OutOfMemoryException:
        raise QueryTooExpensive(
            "the question needs more memory than it may have",
            limit="analytics_query_bytes_max",
            maximum=limits.analytics_query_bytes_max,
        ) from None
    except duckdb.Error as error:
        raise FilesUnreadable(str(error)) from error


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
