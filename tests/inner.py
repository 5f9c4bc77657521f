"""What the inner loop leaves to the whole suite, so that `make check` takes under two minutes.

Job: `make check` runs with the Hypothesis profile `inner`; everything else with `house`.
Rules: in the inner loop a test runs once for each of its other parameters and on one event loop,
whose name its own name decides: each loop has its half of every file, and the same half every
time. The kernel's own tests keep their loops. Random tests take a fifth of their examples, and
sweeps over disk operations one operation in some, as they say. Nothing is left out altogether.
"""

from __future__ import annotations

import zlib
from collections import defaultdict

import pytest
from hypothesis import settings

PROFILE = "inner"
KERNEL = ("actors", "runtime")


def is_inner() -> bool:
    return settings.get_current_profile_name() == PROFILE


def examples(whole: int) -> int:
    """How many examples a random test tries, of those of the whole suite."""
    return max(whole // 5, 1) if is_inner() else whole


def stride(inner: int) -> int:
    """From one operation to crash at to the next: 1, and in the inner loop `inner`, which is odd
    where every other one is another kind of crash."""
    return inner if is_inner() else 1


def left_out(items: list[pytest.Item]) -> set[pytest.Item]:
    """The tests that differ from another one in nothing but their event loop."""
    alike: dict[str, list[tuple[str, pytest.Item]]] = defaultdict(list)
    for item in items:
        loop = _loop_of(item)
        if loop is not None and item.path.parent.name not in KERNEL:
            alike[item.nodeid.replace(loop, "*")].append((loop, item))
    found: set[pytest.Item] = set()
    for name, group in alike.items():
        served = [each for each in group if each[0] != "asyncio"] or group  # uvloop is served
        kept = served[zlib.crc32(name.encode()) % len(served)]
        found.update(item for _, item in group if item is not kept[1])
    return found


def _loop_of(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return None
    loop = item.callspec.params.get("anyio_backend")
    return loop if isinstance(loop, str) else None
