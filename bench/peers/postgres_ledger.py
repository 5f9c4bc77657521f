"""A budget in PostgreSQL: rows of accounts that are locked, and a row for each reservation."""

from __future__ import annotations

from bench.peers import postgres
from bench.process import Process

TABLES = """\
DROP TABLE IF EXISTS accounts, reservations;
CREATE TABLE accounts (
    id int PRIMARY KEY, posted bigint NOT NULL, pending bigint NOT NULL, hard bigint NOT NULL
);
CREATE TABLE reservations (
    id bigserial PRIMARY KEY, account int NOT NULL, amount bigint NOT NULL, state text NOT NULL
);
INSERT INTO accounts SELECT n, 0, 0, 1000000000000000 FROM generate_series(0, {accounts} - 1) AS n;
INSERT INTO reservations (account, amount, state)
    SELECT n % {accounts}, 5, 'committed' FROM generate_series(1, {entries}) AS n;
ANALYZE accounts, reservations;
"""
SPEND = """\
\\set account random(0, {last})
BEGIN;
SELECT posted + pending FROM accounts WHERE id = :account FOR UPDATE;
UPDATE accounts SET pending = pending + 5 WHERE id = :account AND posted + pending + 5 <= hard;
INSERT INTO reservations (account, amount, state) VALUES (:account, 5, 'reserved')
    RETURNING id AS reservation \\gset
COMMIT;
BEGIN;
SELECT state FROM reservations WHERE id = :reservation FOR UPDATE;
UPDATE accounts SET pending = pending - 5, posted = posted + 5 WHERE id = :account;
UPDATE reservations SET state = 'committed' WHERE id = :reservation;
COMMIT;
"""
GUESS = 1_500  # of both steps, a second

_filled: dict[tuple[int, int], float] = {}


def spend(
    server: Process, *, entries: int, accounts: int, clients: int, seconds: float
) -> tuple[float, ...]:
    """Rate, p50, p99 of both steps together, and what memory grew by when it was filled."""
    key = (server.port, entries)
    if key not in _filled:
        _filled.clear()
        before = server.own_bytes()
        postgres.psql(server.port, TABLES.format(accounts=accounts, entries=entries))
        _filled[key] = (server.own_bytes() - before) / 1e6
    found = postgres.scripted(
        server.port,
        SPEND.format(last=accounts - 1),
        clients=clients,
        each=max(10, round(GUESS * seconds / clients)),
    )
    return (found["per_s"], found["p50_ms"], found["p99_ms"], _filled[key])
