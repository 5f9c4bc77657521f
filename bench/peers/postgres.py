"""PostgreSQL with synchronous_commit, from Debian: a private cluster in the folder of the run.

The load is Debian's pgbench with prepared statements. The server refuses root, so with root the
cluster belongs to an account that can do nothing: Debian's `postgres`, else `nobody`.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.process import READY_S_MAX, Process, as_user, free_port
from bench.stage import EVENT_BYTES

NAME = "PostgreSQL, synchronous_commit on"
CLIENT = "pgbench -M prepared"
CLIENTS_MAX = 520
_GUESS = (8_000, 1_500)  # transactions a second, of one row and of many: how long a run lasts
PROGRAMS = Path("/usr/lib/postgresql")
TABLE = """\
CREATE TABLE events (
    stream int, position bigserial, body text NOT NULL, PRIMARY KEY (stream, position)
)"""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": str(CLIENTS_MAX),
    "synchronous_commit": "on",
    "fsync": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "autovacuum": "off",  # nothing is ever updated; it would only disturb the others
}


def missing() -> str | None:
    if _programs() is None:
        return "postgresql is not installed (scripts/setup-bench.sh)"
    return None


def _programs() -> Path | None:
    """The newest version's."""
    found = sorted(PROGRAMS.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def start(folder: Path) -> Process:
    programs, port, user, data = _programs(), free_port(), _user(), folder / "data"
    assert programs is not None
    data.mkdir(mode=0o700)
    if user:
        account = pwd.getpwnam(user)
        os.chown(data, account.pw_uid, account.pw_gid)
        for above in (folder, folder.parent):  # to be passed through, not to be read
            above.chmod(0o711)
    options = ["--pgdata", str(data), "--username", "bench", "--auth", "trust", "--no-sync"]
    done = subprocess.run(
        [str(programs / "initdb"), *options, "--encoding", "UTF8", "--no-locale"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd="/",
        **as_user(user),
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb: {done.stderr[-500:]}")
    settings = [word for k, v in SETTINGS.items() for word in ("-c", f"{k}={v}")]
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), *settings]
    process = Process(command, port, folder / "postgres.log", user=user)
    _wait_ready(port)
    _client("psql", port, "--quiet", "-c", TABLE)
    return process


def _wait_ready(port: int) -> None:
    """It accepts connections before it answers on them."""
    deadline = time.monotonic() + READY_S_MAX
    while True:
        try:
            _client("psql", port, "-c", "SELECT 1")
        except RuntimeError as error:
            if "starting up" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _client(program: str, port: int, *words: str) -> str:
    programs = _programs()
    assert programs is not None
    command = [str(programs / program), "-h", "127.0.0.1", "-p", str(port), "-U", "bench"]
    done = subprocess.run(
        [*command, *words, "postgres"], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program}: {done.stderr[-500:]}")
    return done.stdout


def insert(port: int, *, clients: int, seconds: float, rows: int = 1) -> dict[str, Any]:
    """INSERTs of so many rows each, one transaction each, into one of 1,000 streams."""
    row = f"(:stream, '{'x' * EVENT_BYTES}')"
    statement = f"INSERT INTO events (stream, body) VALUES {', '.join([row] * rows)};"
    # Not -T: that clock runs while 512 clients are still being let in.
    each = max(10, round(_GUESS[rows > 1] * seconds / clients))
    found = scripted(
        port, f"\\set stream random(0, 999)\n{statement}\n", clients=clients, each=each
    )
    return {**found, "per_s": found["per_s"] * rows, "count": found["count"] * rows}


def psql(port: int, statements: str) -> None:
    _client("psql", port, "--quiet", "-v", "ON_ERROR_STOP=1", "-c", statements)


def scripted(port: int, text: str, *, clients: int, each: int) -> dict[str, float]:
    """What pgbench measures of a script that every client runs `each` times."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.sql"
        script.write_text(text)
        words = ["-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-f", str(script)]
        words += ["-t", str(each)]
        words += ["-l", f"--log-prefix={folder}/log"]
        said = _client("pgbench", port, *words)
        logs = [path.read_text() for path in Path(folder).glob("log.*")]
    took = sorted(int(line.split()[2]) for log in logs for line in log.splitlines())
    per_s = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if per_s is None or not took:
        raise RuntimeError(f"pgbench: {said[-200:]}")
    return {
        "per_s": float(per_s[1]),
        "p50_ms": took[len(took) // 2] / 1e3,
        "p99_ms": took[int(len(took) * 0.99)] / 1e3,
        "count": len(took),
        "seconds": len(took) / float(per_s[1]),
    }
