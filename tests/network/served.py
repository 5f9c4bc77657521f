"""The real server process with limits of a test's own, and what /proc says of it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from tests.torture.server import Server


@contextmanager
def served(folder: Path, **limits: object) -> Iterator[Server]:
    """`eventspine serve` on a new root, ready; `limits` go to its settings.toml."""
    server = Server(folder)
    server.init()
    set_limits(server.root, **limits)
    server.start()
    try:
        anyio.run(server.wait_ready)
        yield server
        server.check_alive()
    finally:
        server.cleanup()


def set_limits(root: Path, **limits: object) -> None:
    path = root / "settings.toml"
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    path.write_text(path.read_text().replace("[limits]\n", "[limits]\n" + lines))


def descriptors(pid: int) -> int:
    """File descriptors the process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def sockets(pid: int) -> int:
    """Those of its descriptors that are sockets: files of streams come and go beside them."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += link.readlink().name.startswith("socket:")
    return count


def connections(port: int) -> int:
    """Connections the kernel holds for a server on 127.0.0.1, whatever state they are in."""
    local = f" 0100007F:{port:04X} "
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return sum(local in line[:25] and line[34:36] not in {"0A", "06"} for line in lines)


def resident_bytes(pid: int) -> int:
    """Memory of the process that is its own (RSS without what it maps of files)."""
    found = re.search(
        r"^RssAnon:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1]) * 1024


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true in that time of the world outside."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def at_rest(number: Callable[[], int], looks: int = 20) -> int:
    """`number` once it has stayed the same for so many looks, in 10 s at most."""
    seen: list[int] = []

    def is_steady() -> bool:
        seen.append(number())
        return len(seen) >= looks and len(set(seen[-looks:])) == 1

    assert within(10, is_steady), seen
    return seen[-1]
