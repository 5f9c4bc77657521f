"""Virtual time on asyncio and trio: hours pass in milliseconds, in the same order every time.

Job: an event loop whose clock jumps to the next timer as soon as nothing else can run.
Rules: real I/O and threads are seen only when no timer is due, so keep them out of such tests;
with a seed the order of what is ready at once is shuffled, the same way for the same seed.
Limits: uvloop cannot do this. The shuffle uses asyncio's private `_run_once` and trio's private
scheduling switch; both have been stable from Python 3.11 and trio 0.22 on.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import trio
import trio.testing

T = TypeVar("T")

VIRTUAL = ("virtual-asyncio", "virtual-trio")


class _JumpingSelector(selectors.DefaultSelector):
    """Polls instead of sleeping, and moves its loop's clock by what it did not sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time; with a seed, also in shuffled order."""

    def __init__(self, seed: int | None = None) -> None:
        self._jumping = _JumpingSelector()
        self._shuffle = random.Random(seed).shuffle if seed is not None else None
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def _run_once(self) -> None:
        if self._shuffle is not None:
            ready = list(self._ready)  # type: ignore[has-type]
            self._shuffle(ready)
            self._ready = type(self._ready)(ready)  # type: ignore[has-type]
        super()._run_once()  # type: ignore[misc]


def backend_of(name: str, seed: int | None = None) -> tuple[str, dict[str, Any]]:
    """anyio's (backend, options) for asyncio, uvloop, trio, virtual-asyncio or virtual-trio."""
    match name:
        case "uvloop":
            return "asyncio", {"use_uvloop": True}
        case "virtual-asyncio":
            return "asyncio", {"loop_factory": lambda: VirtualLoop(seed)}
        case "virtual-trio":
            return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
        case _:
            return name, {}


def run_virtual(
    main: Callable[..., Awaitable[T]], *args: Any, backend: str, seed: int | None = None
) -> T:
    """Run `main(*args)` in virtual time on `asyncio` or `trio`, in an order given by `seed`."""
    name, options = backend_of(f"virtual-{backend}", seed)
    if backend == "trio" and seed is not None:
        _seed_trio(seed)
    return anyio.run(main, *args, backend=name, backend_options=options)


def _seed_trio(seed: int) -> None:
    run: Any = importlib.import_module("trio._core._run")
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    run._r.seed(seed)
