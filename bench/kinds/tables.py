"""Rows of a table, written and read by key: beside SQLite and Redis, all durable.

Ours has 64 callers in the process, as Redis has 64 connections. SQLite has one, because a database
takes one writer at a time, and every upsert is a transaction of its own. Each upsert writes another
row than was there, since SQLite does not write what is there already.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from bench.kinds.rows import columns, embedded
from bench.kinds.spines import CONTEXT, WORKERS, Growth, on_spine
from bench.kinds.timing import Args, closed, in_turn, picked
from bench.peers import redis
from bench.stage import Row, Stage
from eventspine import Spine

TITLE = "a table of {size:,} rows of 100 bytes, durable upserts and reads by key"
COLUMNS = columns("upsert", "get")
ROW = b'{"n":"%012d","text":"' + b"x" * 70 + b'"}'
BATCH = 5_000
SQLITE = "SQLite, WAL, synchronous=FULL"
REDIS = "Redis, appendfsync always"


def contenders(stage: Stage, size: int) -> list[Row]:
    return [
        embedded(stage, "eventspine, embedded", "tables.ours", size, client="64 tasks, uvloop"),
        embedded(stage, SQLITE, "tables.sqlite", size, client="one thread"),
        redis.keyed(stage, REDIS, "table", size, b"x" * len(row(0))),
    ]


def key_of(number: int) -> str:
    return f"row{number:08d}"


def row(number: int) -> bytes:
    return ROW % number


def ours_fill(args: Args) -> None:
    async def fill(spine: Spine) -> None:
        tables = spine.tables(CONTEXT)
        for start in range(0, args.size, BATCH):
            numbers = range(start, min(start + BATCH, args.size))
            await tables.write("t", [tables.operation(key_of(n), row(n)) for n in numbers])

    on_spine(args.folder, fill)


def ours(args: Args) -> tuple[float, ...]:
    async def measure(spine: Spine) -> tuple[float, ...]:
        tables, keys, growth = spine.tables(CONTEXT), picked(args.size), Growth()

        async def upsert(n: int) -> None:
            await tables.upsert_json("t", key_of(keys[n % len(keys)]), row(n))

        async def get(n: int) -> None:
            assert await tables.get_row("t", key_of(keys[n % len(keys)])) is not None

        await get(0)
        written = await closed(WORKERS, args.seconds, upsert)
        return (*written, *await closed(WORKERS, args.seconds, get), growth.mb)

    return on_spine(args.folder, measure)


def _connect(args: Args) -> sqlite3.Connection:
    connection = sqlite3.connect(args.folder / "sqlite.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def sqlite_fill(args: Args) -> None:
    with closing(_connect(args)) as connection:
        connection.execute("CREATE TABLE t (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID")
        connection.execute("BEGIN")
        rows = ((key_of(n), row(n)) for n in range(args.size))
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.execute("COMMIT")


def sqlite(args: Args) -> tuple[float, ...]:
    with closing(_connect(args)) as connection:
        keys, growth = picked(args.size), Growth()
        write = "INSERT INTO t VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET data = excluded.data"

        def upsert(n: int) -> None:
            connection.execute(write, (key_of(keys[n % len(keys)]), row(begun + n)))

        def get(n: int) -> None:
            key = key_of(keys[n % len(keys)])
            found = connection.execute("SELECT data FROM t WHERE key = ?", (key,)).fetchone()
            assert found is not None

        begun = time.time_ns() % 10**11
        written = in_turn(args.seconds, upsert)
        return (*written, *in_turn(args.seconds, get), growth.mb)
